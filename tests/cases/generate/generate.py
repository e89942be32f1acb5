#!/usr/bin/env python3
"""Writes the recorded incidents of this folder: development/ and held-out/, each with bundles/ and expected/.

usage: generate.py [--only PREFIX]

The same program writes the same bytes every time. Standard library only.
"""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from check import problems  # noqa: E402
from registry import CASES, held_out  # noqa: E402
from systems import Setting  # noqa: E402

import scenarios_release, scenarios_image, scenarios_memory, scenarios_config, scenarios_probe, scenarios_placement, scenarios_storage  # noqa: E402,E401,F401
import scenarios_network, scenarios_policy, scenarios_dependency, scenarios_restraint, scenarios_two_causes  # noqa: E402,E401,F401


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    if not only:
        for half in ("development", "held-out"):
            shutil.rmtree(root / half, ignore_errors=True)
    seen, found = set(), []
    for day, entry in enumerate(sorted(CASES, key=lambda e: e["id"])):
        assert entry["id"] not in seen, entry["id"]
        seen.add(entry["id"])
        if not entry["id"].startswith(only):
            continue
        setting = Setting(entry["id"], entry["system"], entry["env"], day, entry["nodes"])
        setting.family, setting.difficulty, setting.category = entry["family"], entry["difficulty"], entry["category"]
        entry["build"](setting)
        setting.background()
        found += [f"{entry['id']}: {p}" for p in problems(setting.w)]
        half = root / ("held-out" if held_out(entry) else "development")
        setting.w.write(half / "bundles", half / "expected")
    print("\n".join([*found, f"{len(seen)} cases"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
