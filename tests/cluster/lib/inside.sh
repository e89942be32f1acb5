# shellcheck shell=bash
# Running commands inside a cluster, and telling others how to reach it.

need_running() { INIT=$(find_running_init) || die "not running; start it with: cargo xtask cluster up --name $NAME"; use_run; }

# The command joins the cluster's cgroups too, so that what it starts there counts as the cluster's and ends with it.
inside() {
  local h group
  if [ "$MODE" != full ]; then
    KUBERNAUT_CLUSTER_RUN=$RUN "$@"
    return
  fi
  (
    for h in $(hierarchies); do
      group=$h/$GROUP
      [ ! -d "$group/init" ] || group=$group/init
      echo "$BASHPID" >"$group/cgroup.procs"
    done
    exec nsenter -t "$INIT" --net --mount --pid --cgroup -- "$@"
  )
}

in_components() { inside bash -c 'RUN=$1; . "$RUN/settings"; . "$SRC/lib/settings.sh"; . "$SRC/lib/components.sh"; shift; "$@"' - "$RUN" "$@"; }

# Small programs for tests, so that they need to know nothing of how the cluster is built.
write_wrappers() {
  mkdir -p "$RUN/bin"
  printf '#!/bin/sh\nexec %q kubectl --kubeconfig %q "$@"\n' "$BIN/controlplane" "$RUN/kubeconfig" >"$RUN/bin/kubectl"
  printf '#!/bin/sh\nexec %q exec --name %q -- "$@"\n' "$SRC/cluster" "$NAME" >"$RUN/bin/inside"
  printf '#!/bin/sh\nexec %q "$@" --name %q\n' "$SRC/cluster" "$NAME" >"$RUN/bin/cluster"
  chmod 755 "$RUN"/bin/*
}

variables() {
  local address=${WEBHOOK_URL#*://}
  echo "KUBECONFIG=$RUN/kubeconfig"
  echo "KUBERNAUT_TEST_CLUSTER=$NAME"
  echo "KUBERNAUT_TEST_KUBECONFIG=$RUN/kubeconfig"
  echo "KUBERNAUT_TEST_KUBECTL=$RUN/bin/kubectl"
  echo "KUBERNAUT_TEST_CLUSTER_EXEC=$RUN/bin/inside"
  echo "KUBERNAUT_TEST_CLUSTER_CTL=$RUN/bin/cluster"
  if [ "$ALERTS" = yes ]; then
    echo "KUBERNAUT_TEST_PROMETHEUS_URL=http://$NODE_IP:$PROMETHEUS_PORT"
    echo "KUBERNAUT_TEST_ALERTMANAGER_URL=http://$NODE_IP:$ALERTMANAGER_PORT"
    echo "KUBERNAUT_TEST_WEBHOOK_ADDR=${address%%/*}"
    echo "KUBERNAUT_TEST_WEBHOOK_TOKEN=$(cat "$RUN/webhook.token")"
  fi
  echo "KUBERNAUT_TEST_CONTAINERS=$([ "$MODE" = full ] && echo 1 || echo 0)"
  if [ "$MODE" = full ]; then
    echo "KUBERNAUT_TEST_REGISTRY=$REGISTRY"
    echo "KUBERNAUT_TEST_REGISTRY_WITH_LOGIN=$REGISTRY_WITH_LOGIN"
  fi
  echo "KUBERNAUT_TEST_IMAGE=$APP_IMAGE"
}

print_variables() {
  local line
  while IFS= read -r line; do
    if [ "${PLAIN:-}" = yes ]; then printf '%s\n' "$line"; else printf 'export %s=%q\n' "${line%%=*}" "${line#*=}"; fi
  done < <(variables)
}

print_status() {
  if ! find_running_init >/dev/null; then
    echo "cluster $NAME: not running"
    return 3
  fi
  need_running
  echo "cluster $NAME: $([ "$MODE" = full ] && echo "real node $REAL_NODE" || echo "control plane only"), API https://$NODE_IP:$API_PORT, this machine is $HOST_IP"
  in_components component_status
  kubectl get nodes
}
