# shellcheck shell=bash
# Starts a cluster, from nothing, and returns when it can be used.

# Prints why containers cannot run here; nothing if they can. Tries what is needed, for each can be forbidden by itself.
why_no_containers() {
  local p h
  [ "$(id -u)" = 0 ] || { echo "this needs root"; return; }
  for p in containerd runc iptables docker-registry unshare nsenter ip; do
    command -v "$p" >/dev/null || { echo "$p is not installed"; return; }
  done
  [ -x /usr/lib/cni/bridge ] || { echo "the CNI plug-ins are not installed"; return; }
  unshare --net --mount --pid --cgroup --fork --mount-proc true 2>/dev/null || { echo "new namespaces are not allowed"; return; }
  for h in $(hierarchies); do
    mkdir -p "$h/$GROUP-try" 2>/dev/null && rmdir "$h/$GROUP-try" || { echo "no cgroup can be made in $h"; return; }
  done
  ip link add "$LINK" type veth peer name "$LINK_IN" 2>/dev/null && ip link delete "$LINK" || echo "no veth link can be made"
}

choose_mode() {
  local why
  why=$(why_no_containers)
  MODE=full LOCAL_IP=127.0.0.1
  if [ "${CONTROL_PLANE_ONLY:-}" = yes ] || [ -n "$why" ]; then
    MODE=control
    say "control plane and fake nodes only, no real containers: ${why:-as asked}"
  fi
  ALERTS=yes
  if ! command -v prometheus >/dev/null || ! command -v prometheus-alertmanager >/dev/null; then
    ALERTS=no
    say "no alerts: prometheus and prometheus-alertmanager are not installed"
  fi
  FAKE_NODES=${WANTED_NODES:-$([ "$MODE" = full ] && echo 0 || echo 3)}
}

write_settings() {
  local v
  WEBHOOK_URL=${WANTED_WEBHOOK:-http://$HOST_IP:$WEBHOOK_PORT/api/v1/alerts/alertmanager}
  for v in NAME SRC BIN RUN MODE ALERTS FAKE_NODES HOST_IP NODE_IP LOCAL_IP LINK LINK_IN GROUP WEBHOOK_URL STARTED_MS; do
    printf '%s=%q\n' "$v" "${!v}"
  done >"$RUN/settings"
}

# Keys, tokens and every component's configuration are written by a program, from the templates in config/ and manifests/.
configure() {
  local v
  for v in NAME RUN MODE FAKE_NODES HOST_IP NODE_IP LOCAL_IP WEBHOOK_URL API_PORT ALERTMANAGER_PORT REGISTRY REGISTRY_WITH_LOGIN \
    DNS_IP POD_NET PAUSE_IMAGE APP_IMAGE REAL_NODE SRC BIN; do
    export "${v?}"
  done
  python "$SRC/programs/configure.py"
}

spawn_full() {
  local outer init='' round
  setsid bash "$SRC/lib/init.sh" enter "$RUN" >"$RUN/logs/init.log" 2>&1 </dev/null 8>&- &
  outer=$!
  for round in $(seq 250); do
    init=$(find_init) && break
    kill -0 "$outer" 2>/dev/null || break
    sleep 0.02
  done
  [ -n "$init" ] || die "the namespaces did not start: $(tail -n 3 "$RUN/logs/init.log")"
  echo "$init" >"$RUN/init.pid"
  ip link set "$LINK_IN" netns "$init" name eth0
  if pure_v2; then
    until [ -d "$(hierarchies)/$GROUP/init" ]; do sleep 0.02; done
    echo "$outer" >"$(hierarchies)/$GROUP/init/cgroup.procs"
  fi
}

spawn_control() {
  KUBERNAUT_CLUSTER_RUN=$RUN setsid bash "$SRC/lib/init.sh" run "$RUN" >"$RUN/logs/init.log" 2>&1 </dev/null 8>&- &
  echo $! >"$RUN/init.pid"
}

await_ready() {
  local init
  init=$(cat "$RUN/init.pid")
  until [ -f "$RUN/ready" ]; do
    if [ -f "$RUN/failed" ] || [ ! -d "/proc/$init" ]; then
      cat "$RUN/timeline" >&2
      die "did not start: $(cat "$RUN/failed" 2>/dev/null || tail -n 3 "$RUN/logs/init.log")"
    fi
    sleep 0.1
  done
}

# Whatever ends `up` before it is done takes down what it had started.
take_down_unless_done() {
  local status=$?
  [ -z "${DONE:-}" ] || return
  trap - EXIT
  say "taking down what was started"
  stop_cluster
  say "logs are in $STATE/logs/$NAME"
  exit $((status ? status : 1))
}

up_cluster() {
  lock_cluster
  if is_up; then
    if [ "${FRESH:-}" != yes ]; then
      say "already up"
      return
    fi
    say "stopping the one that runs"
  fi
  stop_cluster
  all_built || build_all
  STARTED_MS=$(now_ms)
  trap take_down_unless_done EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  choose_mode
  [ "$MODE" = control ] || [ ${#RUN} -le 64 ] || die "the folder $RUN has too long a name for sockets in it; set KUBERNAUT_STATE to a shorter one"
  mkdir -p "$RUN/logs"
  chmod 700 "$RUN"
  if [ "$MODE" = full ]; then
    make_groups || die "could not make the cgroup $GROUP"
    claim_subnet
  else
    claim_loopback
  fi
  write_settings
  configure
  mark "configured"
  if [ "$MODE" = full ]; then spawn_full; else spawn_control; fi
  write_wrappers
  await_ready
  DONE=yes
  say "up in $(($(now_ms) - STARTED_MS)) ms"
  cat "$RUN/timeline" >&2
}
