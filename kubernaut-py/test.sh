#!/bin/sh
# Installs the package into empty environments and tests it there: test.sh FOLDER, with the native module in KUBERNAUT_NATIVE.
set -eu
place=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
export KUBERNAUT_ROOT="$root" PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
python=${PYTHON:-python3}
rm -f "$place"/*.whl
wheel=$("$python" "$here/tools/wheel.py" "$KUBERNAUT_NATIVE" "$version" "$place")

# 1. An environment with nothing in it: the wheel alone, and the snippets of the README as they stand.
rm -rf "$place/empty" && "$python" -m venv "$place/empty"
"$place/empty/bin/pip" install --quiet --no-index "$wheel"
(cd "$root" && "$place/empty/bin/python" -m doctest -o ELLIPSIS "$here/README.md")

# 2. One with the tools of the tests; kept, for it takes long to install.
if ! cmp -s "$here/requirements-dev.txt" "$place/installed.txt"; then
    rm -rf "$place/tools" && "$python" -m venv "$place/tools"
    "$place/tools/bin/pip" install --quiet -r "$here/requirements-dev.txt"
    cp "$here/requirements-dev.txt" "$place/installed.txt"
fi
"$place/tools/bin/pip" install --quiet --no-index --force-reinstall "$wheel"
bin="$place/tools/bin"
cd "$here"
package=$("$bin/python" -c 'import kubernaut, pathlib; print(pathlib.Path(kubernaut.__file__).parent)')
"$bin/mypy" --cache-dir "$place/mypy" python/kubernaut tests/types_of_mine.py
"$bin/python" -m mypy.stubtest --mypy-config-file pyproject.toml kubernaut._native
"$bin/pyright" --pythonpath "$bin/python" tests/types_of_mine.py
"$bin/pytest" -p no:cacheprovider tests
PYTHONPATH=tests "$bin/pytest" -p no:cacheprovider --doctest-modules -c pyproject.toml -p conftest --import-mode=importlib \
    "$package/__init__.py" "$package/_engine.py" "$package/_extras.py" "$package/testing.py"
(cd "$root" && "$bin/pytest" -p no:cacheprovider -q examples/python)
