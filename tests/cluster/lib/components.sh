# shellcheck shell=bash
# Which components a cluster has, and how one is started and stopped. Sourced inside the cluster's namespaces.

FIRST="etcd kube-apiserver"
CONTROL="kube-controller-manager kube-scheduler kwok state-metrics"
ALERTING="alertmanager prometheus"
NODE_FIRST="containerd registry registry-with-login"
NODE_REST="kubelet kube-proxy coredns network-policy"
# These look for Services and accounts when they start, so they come after the base objects.
NODE_LAST="metrics-server local-path-provisioner"

start_component() {
  setsid bash "$SRC/lib/run-component.sh" "$RUN" "$1" >>"$RUN/logs/$1.log" 2>&1 </dev/null &
  echo $! >"$RUN/pid/$1"
}

start_components() { local c; for c in "$@"; do start_component "$c"; done; }

component_running() { [ -f "$RUN/pid/$1" ] && kill -0 "$(cat "$RUN/pid/$1")" 2>/dev/null; }

# stop_component NAME [SIGNAL]: sends the signal and, if the component is still there after 10 s, KILL.
stop_component() {
  local pid round
  [ -f "$RUN/pid/$1" ] || { echo "no component \"$1\"; there are: $(ls "$RUN/pid" | tr '\n' ' ')" >&2; return 1; }
  pid=$(cat "$RUN/pid/$1")
  kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
  for round in $(seq 100); do
    [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 0
    [ "$round" != 99 ] || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.1
  done
}

component_status() {
  local f name kb
  for f in "$RUN"/pid/*; do
    name=$(basename "$f")
    kb=$(ps -o rss= -p "$(cat "$f")" || true)
    if [ -n "$kb" ]; then printf '  %-24s running, %d MB\n' "$name" $((kb / 1024)); else printf '  %-24s stopped\n' "$name"; fi
  done
}
