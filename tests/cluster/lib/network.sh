# shellcheck shell=bash
# The two addresses of a cluster: HOST_IP on the machine's side, NODE_IP on the cluster's.
# With namespaces they are the ends of a veth pair in a /30; without, two loopback addresses that need no rights.

subnet_start() { echo $((16#$(printf %s "$NAME" | sha256sum | cut -c1-4) % 250 + 1)); }

subnet_taken() {
  [ -n "$(ip -4 -o address show to "$1.0/30")" ] || ip -4 route show to match "$1.2/32" | grep -qv '^default'
}

# Claims a free subnet by putting its first address on the new link, one `up` at a time.
claim_subnet() {
  local n first
  exec 7>"$STATE/.subnets"
  flock 7
  first=$(subnet_start)
  for n in $(seq "$first" 250) $(seq 1 $((first - 1))); do
    SUBNET=${WANTED_SUBNET:-10.246.$n}
    if ! subnet_taken "$SUBNET"; then
      ip link add "$LINK" type veth peer name "$LINK_IN" || return 1
      ip address add "$SUBNET.1/30" dev "$LINK"
      ip link set "$LINK" up
      HOST_IP=$SUBNET.1 NODE_IP=$SUBNET.2
      exec 7>&-
      return 0
    fi
    [ -z "${WANTED_SUBNET:-}" ] || die "subnet $SUBNET.0/30 is in use on this machine; choose another with --subnet"
  done
  die "no free subnet in 10.246.1-250; choose one with --subnet"
}

claim_loopback() {
  local n first
  first=$(subnet_start)
  for n in $(seq "$first" 250) $(seq 1 $((first - 1))); do
    HOST_IP=127.77.$n.1 NODE_IP=127.77.$n.2
    (exec 3<>"/dev/tcp/$NODE_IP/$API_PORT") 2>/dev/null || return 0
  done
  die "no free loopback address for another cluster"
}

remove_link() { ! command -v ip >/dev/null || ip link delete "$LINK" 2>/dev/null || true; }
