"""Makes a wheel of the package and a native module that is built already: `wheel.py NATIVE VERSION FOLDER`.

Users build wheels with maturin; this one is for tests, which have the module from the workspace's build.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def main(native: Path, version: str, folder: Path) -> None:
    tag = "cp310-abi3-linux_x86_64"
    info = f"kubernaut-{version}.dist-info"
    readme = (PACKAGE / "README.md").read_text()
    files: dict[str, bytes] = {f"kubernaut/{p.name}": p.read_bytes() for p in (PACKAGE / "python" / "kubernaut").iterdir() if p.is_file()}
    files["kubernaut/_native.abi3.so"] = native.read_bytes()
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.4\nName: kubernaut\nVersion: {version}\nRequires-Python: >=3.10\n\n{readme}".encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: kubernaut\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{info}/entry_points.txt"] = b"[pytest11]\nkubernaut = kubernaut.pytest_plugin\n"
    rows = []
    path = folder / f"kubernaut-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{name},sha256={digest},{len(data)}")
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
