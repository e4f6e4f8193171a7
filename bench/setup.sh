#!/usr/bin/env bash
# Installs what the benches and the crash tests run beside us: Debian's peers and tools. What can not be had is named and left
# out; its rows and parts are then skipped. Root or sudo. The benches' own programs in C (bench/native) are compiled when they are
# first needed, with the compiler that is installed here.
set -uo pipefail
packages=(
  mosquitto mosquitto-clients nats-server redis-server libcoap3-dev
  gcc libc6-dev tshark iproute2 util-linux linux-perf
  strace nftables e2fsprogs
)
root=()
[ "$(id -u)" = 0 ] || root=(sudo --non-interactive)
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq || echo "The lists of packages could not be renewed; going on with those that are here."
for package in "${packages[@]}"; do
  "${root[@]}" apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "absent: $package"
done
# Debian starts them as services; the benches start their own.
for service in mosquitto nats-server redis-server; do
  if command -v systemctl >/dev/null; then "${root[@]}" systemctl disable --now "$service" >/dev/null 2>&1 || true; fi
done
exit 0
