#!/bin/sh
# What the bindings cost: run.sh. Builds native modules and the Rust program optimised (profile `profiling`), then runs the same work in Rust,
# Python and Node, one after the other, in this order.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
place="$target/bindings/bench"
cd "$root"
cargo build --profile profiling -p kubernaut-bench -p kubernaut-py -p kubernaut-node
rm -rf "$place" && mkdir -p "$place/python" "$place/node_modules"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
cp "$target/profiling/lib_native.so" "$place/native.so" && strip "$place/native.so"
wheel=$(python3 kubernaut-py/tools/wheel.py "$place/native.so" "$version" "$place")
python3 -m venv "$place/venv" && "$place/venv/bin/pip" install --quiet --no-index "$wheel"
# The package as `cargo xtask bindings node` made it, with the optimised module in place of the other.
cp -R "$target/bindings/node/project/node_modules/kubernaut" "$place/node_modules/"
for module in "$place"/node_modules/kubernaut/*.node; do cp "$target/profiling/libkubernaut_node.so" "$module" && strip "$module"; done
cp "$here/bench.mjs" "$place/"
bundle="$root/examples/bundles/crashing-release"
"$target/profiling/bindings" "$bundle" "$place/rust.db"
"$place/venv/bin/python" "$here/bench.py" "$bundle" "$place/python.db"
node --expose-gc "$place/bench.mjs" "$bundle" "$place/node.db"
python3 - "$wheel" <<'P'
import pathlib, sys, zipfile
wheel = pathlib.Path(sys.argv[1])
packed = wheel.with_suffix(".deflated")
with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
    for name in old.namelist():
        new.writestr(name, old.read(name))
print(f"wheel: {packed.stat().st_size / 1e6:.1f} MB compressed")
P
