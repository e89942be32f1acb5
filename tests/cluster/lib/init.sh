#!/usr/bin/env bash
# init.sh enter RUN   joins the cluster's cgroups and becomes process 1 of new namespaces, which goes on with:
# init.sh run RUN     sets up what is inside, starts every component in order, then only collects ended processes.
set -uo pipefail
step=$1 RUN=$2
# shellcheck source=/dev/null
. "$RUN/settings"
. "$SRC/lib/settings.sh"
. "$SRC/lib/groups.sh"
. "$SRC/lib/components.sh"

enter() {
  local h
  for h in $(hierarchies); do echo $$ >"$h/$GROUP/cgroup.procs" || exit 1; done
  exec unshare --net --mount --pid --cgroup --fork --kill-child --mount-proc --propagation private bash "$SRC/lib/init.sh" run "$RUN"
}

# Network namespaces, sockets of containers and locks stay inside with a /run of the cluster's own.
private_run() {
  mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock /run/containerd
}

# Each kubelet removes the logs of pods it does not know, so each cluster has folders of its own for them. They live on disk, for logs can be large.
private_logs() {
  local folder
  for folder in pods containers; do
    mkdir -p "/var/log/$folder" "$RUN/pod-logs/$folder" && mount --bind "$RUN/pod-logs/$folder" "/var/log/$folder" || return 1
  done
}

# Mounted anew inside the cgroup namespace, each hierarchy shows this cluster's group as its root, so the kubelet's groups
# cannot meet those of another kubelet.
mount_groups() {
  local controllers option folder
  mount -t sysfs sysfs /sys
  if pure_v2; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    leaf_for_processes
    return
  fi
  mount -t tmpfs tmpfs /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    [ -n "$controllers" ] || continue
    folder=${controllers#name=} option=$controllers
    [ "$folder" = "$controllers" ] || option=none,$controllers
    mkdir -p "/sys/fs/cgroup/$folder"
    mount -t cgroup -o "$option" cgroup "/sys/fs/cgroup/$folder"
    for c in ${folder//,/ }; do [ "$c" = "$folder" ] || ln -s "$folder" "/sys/fs/cgroup/$c"; done
  done </proc/self/cgroup
}

# v2 gives controllers only to groups without processes of their own; the outer process is moved by `up`.
leaf_for_processes() {
  local round
  mkdir -p /sys/fs/cgroup/init
  echo 0 >/sys/fs/cgroup/init/cgroup.procs
  for round in $(seq 100); do
    open_controllers /sys/fs/cgroup
    grep -q memory /sys/fs/cgroup/cgroup.subtree_control && return
    sleep 0.05
  done
  fail "the memory controller cannot be used in this cgroup"
}

network() {
  ip link set lo up
  wait_for "network link" 10 ip link show eth0 || exit 1
  ip address add "$NODE_IP/30" dev eth0
  ip link set eth0 up # and no default route: nothing outside this machine can be reached
  # With a route, a Service without endpoints refuses the connection as on any cluster; without, it would be unreachable.
  ip route add "$SERVICE_NET" dev eth0
  # Traffic between two pods of the bridge passes iptables, and so the network policies, only with the second.
  sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
}

fail() { mark "failed: $*"; echo "$*" >"$RUN/failed"; exit 1; }
must() { wait_for "$@" || fail "$(cat "$RUN/failed")"; }
answers() { curl -skf -o /dev/null --max-time 2 "$@"; }
node_ready() { kubectl get node "$REAL_NODE" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }
metrics_available() { kubectl get apiservice v1beta1.metrics.k8s.io -o jsonpath='{.status.conditions[?(@.type=="Available")].status}' | grep -q True; }
fake_nodes_ready() { [ "$(kubectl get nodes -l test/node=fake --no-headers 2>/dev/null | grep -cw Ready)" -ge "$FAKE_NODES" ]; }

load_images() {
  local tar=$RUN/images.tar
  python "$SRC/programs/images.py" archive "$tar" "$PAUSE_IMAGE" "$APP_IMAGE" &&
    ctr -a /run/containerd/containerd.sock -n k8s.io images import "$tar" &&
    python "$SRC/programs/images.py" push "$PAUSE_IMAGE" "$APP_IMAGE" && touch "$RUN/images-loaded" && mark "images loaded"
}

start_everything() {
  mkdir -p "$RUN/pid"
  # shellcheck disable=SC2086 # lists of names
  {
    start_components $FIRST
    if [ "$MODE" = full ]; then
      start_components $NODE_FIRST
      must "containerd" 60 ctr -a /run/containerd/containerd.sock version
      load_images >>"$RUN/logs/images.log" 2>&1 &
    fi
    must "API server" 90 answers "https://$NODE_IP:$API_PORT/readyz"
    start_components $CONTROL
    [ "$ALERTS" != yes ] || start_components $ALERTING
    [ "$MODE" != full ] || start_components $NODE_REST
    must "base objects" 60 kubectl apply --server-side -f "$RUN/manifests"
    [ "$MODE" != full ] || start_components $NODE_LAST
  }
}

wait_until_usable() {
  if [ "$MODE" = full ]; then
    must "images" 60 test -f "$RUN/images-loaded"
    must "node Ready" 90 node_ready
    must "DNS" 30 answers "http://127.0.0.1:8088/health"
  fi
  [ "$FAKE_NODES" = 0 ] || must "$FAKE_NODES fake nodes" 120 fake_nodes_ready
  must "service accounts" 60 kubectl -n default get serviceaccount default
  if [ "$ALERTS" = yes ]; then
    must "Alertmanager" 60 answers "http://$NODE_IP:$ALERTMANAGER_PORT/-/ready"
    must "Prometheus" 60 answers "http://$NODE_IP:$PROMETHEUS_PORT/-/ready"
  fi
}

case $step in
  enter) enter ;;
  run)
    if [ "$MODE" = full ]; then
      private_run || fail "could not mount a /run of the cluster's own"
      private_logs || fail "could not mount folders of the cluster's own for pod logs"
      mount_groups || fail "could not mount the cluster's own cgroups"
      network
      mark "namespaces"
    fi
    start_everything
    wait_until_usable
    mark "up"
    touch "$RUN/ready"
    [ "$MODE" != full ] || wait_for "metrics API" 120 metrics_available || rm -f "$RUN/failed"
    while :; do wait -n 2>/dev/null || sleep 1; done
    ;;
esac
