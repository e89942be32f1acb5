# shellcheck shell=bash
# Debian packages that the cluster uses: package, and a command or file that proves it is there.
PACKAGES="
containerd /usr/bin/containerd
runc /usr/sbin/runc
containernetworking-plugins /usr/lib/cni/bridge
iptables /usr/sbin/iptables
conntrack /usr/sbin/conntrack
busybox-static /bin/busybox
docker-registry /usr/bin/docker-registry
prometheus /usr/bin/prometheus
prometheus-alertmanager /usr/bin/prometheus-alertmanager
iproute2 /sbin/ip
util-linux /usr/bin/unshare
procps /usr/bin/ps
openssl /usr/bin/openssl
curl /usr/bin/curl
"

missing_packages() {
  local package proof
  while read -r package proof; do
    [ -z "$package" ] || [ -e "$proof" ] || printf '%s ' "$package"
  done <<<"$PACKAGES"
}

# Services such as Prometheus would start right after their installation and take ports on this machine; a policy file that
# was not there before keeps them off, and goes again at the end.
without_starting_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [ -e "$policy" ]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
  "$@" || status=$?
  rm -f "$policy"
  trap - EXIT INT TERM
  return "$status"
}

install_packages() {
  local missing from=$SECONDS
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "missing packages: ${missing}(install them as root: apt-get install --no-install-recommends $missing)"
    return 0
  fi
  say "installing: $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || say "apt-get update failed, trying with the package lists at hand"
  # shellcheck disable=SC2086 # one word a package
  without_starting_services apt-get install -y -qq --no-install-recommends $missing </dev/null >&2 || die "apt-get could not install: $missing"
  say "packages installed in $((SECONDS - from)) s"
}
