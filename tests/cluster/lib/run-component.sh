#!/usr/bin/env bash
# run-component.sh RUN NAME: becomes that component of the cluster whose state is in RUN.
set -euo pipefail
RUN=$1 name=$2
# shellcheck source=/dev/null
. "$RUN/settings"
. "$SRC/lib/settings.sh"

kubernetes() { exec "$BIN/controlplane" "$@"; }
python_program() { if [ -x /usr/bin/python3 ]; then exec /usr/bin/python3 "$SRC/programs/$1" "${@:2}"; else exec python3 "$SRC/programs/$1" "${@:2}"; fi; }

etcd() {
  kubernetes etcd --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://$LOCAL_IP:12379" --advertise-client-urls "http://$LOCAL_IP:12379" \
    --listen-peer-urls "http://$LOCAL_IP:12380" --initial-advertise-peer-urls "http://$LOCAL_IP:12380" \
    --initial-cluster "default=http://$LOCAL_IP:12380"
}

apiserver() {
  local pki=$RUN/pki
  local identity=(--client-ca-file="$pki/ca.crt" --token-auth-file="$RUN/tokens.csv" "--authorization-mode=Node,RBAC"
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key"
    --service-account-issuer=https://kubernetes.default.svc.cluster.local
    --service-account-key-file="$pki/service-accounts.pub" --service-account-signing-key-file="$pki/service-accounts.key")
  # The aggregation layer, through which metrics-server is reached.
  local aggregation=(--requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group
    --requestheader-extra-headers-prefix=X-Remote-Extra- --enable-aggregator-routing=true
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key")
  # Node names resolve nowhere, so logs and exec go to the node's address.
  local nodes=(--kubelet-preferred-address-types=InternalIP
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key")
  # The Endpoints of the `kubernetes` Service may not be a loopback address, which is all there is without namespaces.
  [ "$MODE" = full ] || nodes+=(--endpoint-reconciler-type=none)
  local address=$NODE_IP
  [ "$MODE" != full ] || address=0.0.0.0
  kubernetes kube-apiserver --etcd-servers="http://$LOCAL_IP:12379" --bind-address="$address" --secure-port="$API_PORT" \
    --advertise-address="$NODE_IP" --service-cluster-ip-range="$SERVICE_NET" --event-ttl=1h --enable-priority-and-fairness=false \
    "${identity[@]}" "${aggregation[@]}" "${nodes[@]}"
}

# Controllers and scheduler with one replica need no election; the limits on their requests are for clusters with many of them.
controller_flags() {
  local k=$RUN/$1.kubeconfig
  printf '%s\n' --kubeconfig="$k" --authentication-kubeconfig="$k" --authorization-kubeconfig="$k" --leader-elect=false --secure-port=0 --kube-api-qps=200 --kube-api-burst=400
}

controller_manager() {
  # Waits shortened so that a lost node and a scaling load show within a test.
  mapfile -t flags < <(controller_flags kube-controller-manager)
  kubernetes kube-controller-manager "${flags[@]}" --use-service-account-credentials=true \
    --service-account-private-key-file="$RUN/pki/service-accounts.key" --root-ca-file="$RUN/pki/ca.crt" \
    --node-monitor-grace-period=20s --horizontal-pod-autoscaler-sync-period=5s --horizontal-pod-autoscaler-cpu-initialization-period=10s \
    --horizontal-pod-autoscaler-initial-readiness-delay=5s --horizontal-pod-autoscaler-downscale-stabilization=30s
}

scheduler() {
  mapfile -t flags < <(controller_flags kube-scheduler)
  kubernetes kube-scheduler "${flags[@]}"
}

kwok() {
  exec "$BIN/kwok" --kubeconfig "$RUN/addons.kubeconfig" --config "$RUN/kwok.yaml" \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --node-lease-duration-seconds 40 \
    --node-ip "$NODE_IP" --node-port 10247 --server-address "$NODE_IP:10247" \
    --tls-cert-file "$RUN/pki/kwok.crt" --tls-private-key-file "$RUN/pki/kwok.key"
}

metrics_server() {
  local k=$RUN/addons.kubeconfig
  # The resolution has to be longer than the time-out.
  exec "$BIN/metrics-server" --kubeconfig "$k" --authentication-kubeconfig "$k" --authorization-kubeconfig "$k" \
    --bind-address "$NODE_IP" --secure-port 4443 --cert-dir "$RUN/pki/metrics-server" --metric-resolution=10s --kubelet-request-timeout=5s \
    --kubelet-insecure-tls --kubelet-preferred-address-types=InternalIP --kubelet-use-node-status-port
}

case $name in
  etcd) etcd ;;
  kube-apiserver) apiserver ;;
  kube-controller-manager) controller_manager ;;
  kube-scheduler) scheduler ;;
  kwok) kwok ;;
  containerd) exec containerd --config "$RUN/config/containerd.toml" ;;
  kubelet)
    kubernetes kubelet --config "$RUN/config/kubelet.yaml" --kubeconfig "$RUN/kubelet.kubeconfig" --root-dir "$RUN/kubelet" \
      --hostname-override "$REAL_NODE" --node-ip "$NODE_IP" --node-labels test/node=real
    ;;
  kube-proxy) kubernetes kube-proxy --config "$RUN/config/kube-proxy.yaml" ;;
  coredns) exec "$BIN/coredns" -conf "$RUN/config/Corefile" ;;
  metrics-server) metrics_server ;;
  local-path-provisioner)
    exec "$BIN/local-path-provisioner" start --config "$RUN/config/local-path.json" --kubeconfig "$RUN/addons.kubeconfig" \
      --namespace local-path-storage --helper-image "$APP_IMAGE" --helper-pod-file "$RUN/config/local-path-helper.yaml"
    ;;
  registry | registry-with-login) exec docker-registry serve "$RUN/config/$name.yml" ;;
  network-policy) python_program network_policy.py "$RUN/addons.kubeconfig" "$POD_NET" ;;
  state-metrics) python_program state_metrics.py "$RUN/addons.kubeconfig" "$LOCAL_IP" 18080 ;;
  alertmanager)
    exec prometheus-alertmanager --config.file="$RUN/config/alertmanager.yml" --storage.path="$RUN/alertmanager" \
      --web.listen-address="$NODE_IP:$ALERTMANAGER_PORT" --cluster.listen-address=
    ;;
  prometheus)
    exec prometheus --config.file="$RUN/config/prometheus.yml" --storage.tsdb.path="$RUN/prometheus" --storage.tsdb.retention.time=6h \
      --web.listen-address="$NODE_IP:$PROMETHEUS_PORT" --log.level=warn
    ;;
  *) echo "unknown component $name" >&2; exit 2 ;;
esac
