# shellcheck shell=bash
# Builds the cluster's programs once, into a folder of the cache named by their inputs (see build_id in settings.sh).
# Each appears under its name only when it is complete, so an interrupted build goes on where it stopped.

built() { [ -x "$BIN/$1" ]; }

all_built() {
  local name _
  built controlplane || return 1
  while read -r name _; do built "$name" || return 1; done < <(tools)
}

tools() { grep -v '^#' "$SRC/tools.txt"; }

# Shows that the compiler is at work: how many packages are done, every 10 s.
watch_build() {
  local name=$1 log=$2 from=$SECONDS
  # Short sleeps: the last one outlives this loop and would keep a pipe of the caller open. An interrupt ends the caller only.
  while sleep 1 && kill -0 $$ 2>/dev/null; do
    (((SECONDS - from) % 10)) || say "  $name: $(wc -l <"$log") packages compiled, $((SECONDS - from)) s"
  done
}

# go_program NAME COMMAND…: runs a Go build that leaves its program in $BIN/.new/NAME.
go_program() {
  local name=$1 log=$BIN/.new/$1.log from=$SECONDS status=0 watcher
  shift
  ! built "$name" || return 0
  say "building $name"
  : >"$log"
  watch_build "$name" "$log" 8>&- 9>&- &
  watcher=$!
  # Gives way to whatever else is being built; the subshell keeps priority and folder changes to itself.
  (renice -n 5 -p "$BASHPID" >/dev/null && "$@" 2>"$log") || status=$?
  kill "$watcher" 2>/dev/null || true
  if [ "$status" != 0 ]; then
    grep -v '^go: downloading' "$log" | tail -n 30 >&2
    die "go build of $name failed; the whole log is $log"
  fi
  mv "$BIN/.new/$name" "$BIN/$name"
  say "built $name in $((SECONDS - from)) s"
}

build_controlplane() {
  local v=k8s.io/component-base/version number=${KUBERNETES_VERSION#v1.}
  cd "$SRC/controlplane" || return
  CGO_ENABLED=0 go build -v -trimpath -o "$BIN/.new/controlplane" \
    -ldflags "-s -w -X $v.gitVersion=$KUBERNETES_VERSION -X $v.gitMajor=1 -X $v.gitMinor=${number%%.*}" .
}

build_tool() { CGO_ENABLED=0 GOBIN=$BIN/.new go install -v -ldflags "-s -w" "$1@$2"; }

build_all() {
  local name package version
  ! all_built || return 0
  command -v go >/dev/null || die "go is needed to build the cluster's programs; install it and try again"
  mkdir -p "$BIN/.new"
  exec 9>"$BIN/.new/lock"
  flock -n 9 || { say "another build is under way, waiting for it"; flock 9; }
  say "building the cluster's programs into $BIN (once; about 10 minutes on two cores from an empty Go cache)"
  go_program controlplane build_controlplane
  while read -r name package version; do go_program "$name" build_tool "$package" "$version"; done < <(tools)
  rm -rf "$BIN/.new"
  exec 9>&-
}
