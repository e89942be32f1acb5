#!/usr/bin/env bash
# Cold start and idle memory of the server. Usage: bench/footprint.sh BINARY BUNDLE
set -euo pipefail
binary=$1 bundle=$2
home=$(mktemp -d); trap 'kill "$pid" 2>/dev/null || true; rm -rf "$home"' EXIT
printf 'cluster: { bundle: %s }\nledger: { path: %s/ledger.db }\nhttp: { listen: "127.0.0.1:18431" }\nlog: { filter: warn }\n' "$bundle" "$home" >"$home/config.yaml"
for run in 1 2 3; do
  rm -f "$home"/ledger.db*
  from=$(date +%s%N)
  "$binary" serve --config "$home/config.yaml" & pid=$!
  until curl -sf -o /dev/null http://127.0.0.1:18431/readyz; do sleep 0.005; done
  echo "run $run: ready after $(( ($(date +%s%N) - from) / 1000000 )) ms"
  if [ "$run" = 3 ]; then sleep 30; awk '/VmRSS/ {printf "idle after 30 s: %.1f MiB resident\n", $2/1024}' "/proc/$pid/status"; fi
  kill "$pid"; wait "$pid" || true
done
