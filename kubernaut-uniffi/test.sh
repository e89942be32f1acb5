#!/bin/sh
# Writes the foreign code from the built library and runs the Ruby tests: test.sh FOLDER, with KUBERNAUT_NATIVE and KUBERNAUT_BINDGEN.
# Kotlin and Swift are written, too, but not compiled here: that takes their compilers.
set -eu
place=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
export KUBERNAUT_ROOT="$root" LD_LIBRARY_PATH="$place/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
rm -rf "$place/lib" "$place/kotlin" "$place/swift" && mkdir -p "$place/lib"
for language in ruby kotlin swift; do
    out="$place/$language"
    if [ "$language" = ruby ]; then out="$place/lib"; fi
    (cd "$root" && "$KUBERNAUT_BINDGEN" generate --no-format --language "$language" --out-dir "$out" "$KUBERNAUT_NATIVE")
done
test -s "$place/swift/kubernaut_uniffi.swift"
test -s "$place/kotlin/uniffi/kubernaut_uniffi/kubernaut_uniffi.kt"
cp "$KUBERNAUT_NATIVE" "$place/lib/"
cp -R "$here/ruby/lib/." "$place/lib/"
if ! ruby -rffi -rminitest -e '' 2>/dev/null; then
    apt-get install -y -qq ruby ruby-ffi ruby-minitest >/dev/null
fi
ruby -I "$place/lib" "$here/ruby/test/kubernaut_test.rb"
cd "$root"
ruby -I "$place/lib" examples/ruby/triage.rb examples/bundles/crashing-release
