#!/bin/sh
# Runs the bots against fake receivers: test.sh FOLDER, where kubernaut-node/test.sh has packed the package.
set -eu
place=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$place/examples" && cd "$place/examples"
cp "$here"/*.mjs "$here/package.json" "$here/package-lock.json" "$here/.npmrc" .
if ! cmp -s package-lock.json installed.json; then
    npm ci --ignore-scripts --no-audit --no-fund
    cp package-lock.json installed.json
fi
rm -rf node_modules/kubernaut && cp -R "$place/project/node_modules/kubernaut" node_modules/
node --test --test-timeout=120000 bots.test.mjs
