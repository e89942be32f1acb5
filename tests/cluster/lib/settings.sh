# shellcheck shell=bash
# Sourced by every script of the cluster: its folders, names, addresses and small helpers. Nothing here has side effects.
# The caller sets NAME (the cluster's name) and SRC (this folder's parent).

CACHE=${KUBERNAUT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubernaut}/cluster
STATE=${KUBERNAUT_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kubernaut}/cluster
KUBERNETES_VERSION=v1.34.4

REAL_NODE=real-1
API_PORT=16443 PROMETHEUS_PORT=19090 ALERTMANAGER_PORT=19093 WEBHOOK_PORT=18999
# Inside the cluster's own network namespace, so they collide with nothing on the machine.
REGISTRY=127.0.0.1:5001 REGISTRY_WITH_LOGIN=127.0.0.1:5002
SERVICE_NET=10.96.0.0/16 DNS_IP=10.96.0.10 POD_NET=10.247.0.0/24
PAUSE_IMAGE=$REGISTRY/lab/pause:1 APP_IMAGE=$REGISTRY/lab/app:1

say() { printf 'cluster %s: %s\n' "$NAME" "$*" >&2; }
die() { say "$*"; exit 1; }

# The name becomes part of a network link (15 characters at most), a cgroup and a folder.
use_name() {
  [[ $NAME =~ ^[a-z][a-z0-9-]{0,9}$ ]] || { echo "bad cluster name \"$NAME\": use 1 to 10 of a-z, 0-9 and -, starting with a letter" >&2; exit 2; }
  RUN=$STATE/$NAME LINK=kn-$NAME LINK_IN=kni-$NAME GROUP=kn-$NAME
}

# The system's own Python starts at once; a version manager's shim in front of it may take a second each time.
python() { if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else command python3 "$@"; fi; }

# The folder of the binaries is named by everything that decides what they are, so another checkout with the same inputs reuses it.
build_id() {
  { cat "$SRC"/controlplane/{go.mod,go.sum,main.go} "$SRC/tools.txt"; echo "$KUBERNETES_VERSION $(uname -m)"; } | sha256sum | cut -c1-16
}
use_binaries() { BIN=$CACHE/$(build_id)/bin; }

# A running cluster's own settings (addresses, mode, binaries) were written by `up`.
use_run() {
  [ -f "$RUN/settings" ] || return 1
  . "$RUN/settings"
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
mark() { printf '%6d ms  %s\n' $(($(now_ms) - STARTED_MS)) "$*" >>"$RUN/timeline"; }

# wait_for WHAT SECONDS COMMAND…: polls until the command succeeds; the time limit is an error that names what was awaited.
wait_for() {
  local what=$1 limit=$2 from=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS - from >= limit)); then
      echo "$what not ready after $limit s" >"$RUN/failed"
      return 1
    fi
    sleep 0.1
  done
  mark "$what"
}

kubectl() { "$BIN/controlplane" kubectl --kubeconfig "$RUN/kubeconfig" "$@"; }

# One command at a time may change a cluster. Children that outlive the command must close descriptor 8.
lock_cluster() {
  mkdir -p "$STATE"
  chmod 700 "$STATE"
  exec 8>"$STATE/$NAME.lock"
  flock -n 8 || { say "another command is changing this cluster, waiting for it"; flock -w 300 8 || die "still busy after 300 s"; }
}
