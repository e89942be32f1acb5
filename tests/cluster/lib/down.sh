# shellcheck shell=bash
# Ends a cluster, or what an interrupted `up` left of one. Everything lives in namespaces and cgroups of its own: killing the
# members of the cgroups ends every component and container, and mounts, links, rules and network namespaces go with them.

# The processes of a cluster without namespaces carry its folder in their environment.
marked_processes() {
  grep -lzsx "KUBERNAUT_CLUSTER_RUN=$RUN" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep -vx "$$" || true
}

kill_marked() {
  local p round members
  for round in $(seq 100); do
    members=$(marked_processes)
    [ -n "$members" ] || return 0
    for p in $members; do kill -KILL "$p" 2>/dev/null || true; done
    sleep 0.05
  done
  return 1
}

# The last run's logs stay, for whoever wants to know why it ended.
keep_logs() {
  [ -d "$RUN/logs" ] || return 0
  mkdir -p "$STATE/logs"
  rm -rf "${STATE:?}/logs/$NAME"
  mv "$RUN/logs" "$STATE/logs/$NAME"
  cp "$RUN/timeline" "$STATE/logs/$NAME/" 2>/dev/null || true
}

stop_cluster() {
  kill_members || die "some processes of the cluster do not end: $(group_members | tr '\n' ' ')"
  kill_marked || die "some processes of the cluster do not end: $(marked_processes | tr '\n' ' ')"
  remove_link
  remove_groups
  keep_logs
  rm -rf "$RUN"
}

is_up() { [ -f "$RUN/ready" ] && find_running_init >/dev/null; }

# A recorded process id is believed only if that process still belongs to this cluster.
find_running_init() {
  local pid
  use_run && pid=$(cat "$RUN/init.pid" 2>/dev/null) || return 1
  if [ "$MODE" = full ]; then
    grep -q "/$GROUP\(/init\)\?$" "/proc/$pid/cgroup" 2>/dev/null || return 1
  else
    grep -qzsx "KUBERNAUT_CLUSTER_RUN=$RUN" "/proc/$pid/environ" || return 1
  fi
  echo "$pid"
}

down_cluster() {
  local from
  lock_cluster
  from=$(now_ms)
  if [ ! -d "$RUN" ] && [ -z "$(group_members)" ]; then
    remove_link
    remove_groups
    say "not running"
    return
  fi
  stop_cluster
  say "down in $(($(now_ms) - from)) ms"
}
