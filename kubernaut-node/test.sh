#!/bin/sh
# Packs the package, installs it into an empty project and tests it there: test.sh FOLDER, with the native module in KUBERNAUT_NATIVE.
set -eu
place=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
export KUBERNAUT_ROOT="$root"

# 1. Compile and pack, away from the sources. The compiler is kept, for it takes long to install.
mkdir -p "$place/package"
(cd "$place/package" && find . -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed.json -exec rm -rf {} +)
cp -R "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$here/tsconfig.json" "$here/ts" "$here/tools" "$place/package/"
cp "$root/kubernaut/schemas/reference.md" "$place/package/REFERENCE.md"
cp "$here/README.md" "$place/package/"
platform=$(node -p '`${process.platform}-${process.arch}` + (process.platform !== "linux" ? "" : process.report.getReport().header.glibcVersionRuntime ? "-gnu" : "-musl")')
cp "$KUBERNAUT_NATIVE" "$place/package/kubernaut.$platform.node"
cd "$place/package"
if ! cmp -s package-lock.json installed.json; then
    npm ci --ignore-scripts --no-audit --no-fund
    cp package-lock.json installed.json
fi
npm run --silent build:ts
tarball=$(npm pack --silent)

# 2. An empty project: the package alone, and the snippets of the README as they stand, as ES module and as CommonJS.
rm -rf "$place/project" && mkdir -p "$place/project" && cd "$place/project"
echo '{ "private": true }' >package.json
npm install --offline --no-audit --no-fund --silent "$place/package/$tarball"
node "$here/tools/snippets.mjs" "$here/README.md" "$place/project"
for snippet in snippet-*.mjs; do
    (cd "$root" && node "$place/project/$snippet")
done

# 3. Its tests.
cp -R "$here/tests" tests
node --test --test-timeout=120000 tests/*.test.mjs
"$place/package/node_modules/.bin/tsc" --noEmit --strict --target es2022 --module node16 --moduleResolution node16 --skipLibCheck \
    --typeRoots "$place/package/node_modules/@types" --types node tests/types.mts
"$root/examples/node/test.sh" "$place"
