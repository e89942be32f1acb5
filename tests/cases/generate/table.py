#!/usr/bin/env python3
"""Markdown tables of two results, as `kubernaut eval --output json` prints them.

usage: table.py DEVELOPMENT.json HELD_OUT.json
"""

import json
import sys


def share(n):
    return "–" if n is None else f"{n:.3f}"


def main():
    dev, held = (json.load(open(p)) for p in sys.argv[1:3])
    print("| | development | held out |\n|---|---|---|")
    rows = [("cases", "cases"), ("root cause", "root_cause"), ("action", "action"), ("environment", "environment"), ("target", "target"), ("decision", "decision"),
            ("handed over where that is right as well", "escalated_rightly"), ("violations", "violations"), ("asks without need", "over_asking"), ("ECE", "ece"), ("Brier score", "brier"), ("Brier skill", "skill")]
    for title, key in rows:
        print(f"| {title} | " + " | ".join(str(r[key]) if isinstance(r[key], int) else share(r[key]) for r in (dev, held)) + " |")
    for title, key in (("parameters", "params"), ("sane limits", "sane")):
        print(f"| {title} | " + " | ".join(f"{r[key]['right']}/{r[key]['of']}" for r in (dev, held)) + " |")
    print("\n| family | development: cause, action, decision | held out: cause, action, decision |\n|---|---|---|")
    for groups in ("by_difficulty", "by_family"):
        for name in sorted({*dev[groups], *held[groups]}):
            cells = []
            for r in (dev, held):
                g = r[groups].get(name)
                cells.append(f"{g['root_cause']['right']}/{g['root_cause']['of']}, {g['action']:.1f}, {g['decision']['right']}" if g else "–")
            print(f"| {name.replace('_', ' ')} | {cells[0]} | {cells[1]} |")
    print("\n| confidence | development: right of, mean | held out: right of, mean |\n|---|---|---|")
    bins = {b["from"] for r in (dev, held) for b in r["reliability"]}
    for low in sorted(bins):
        cells = []
        for r in (dev, held):
            b = next((b for b in r["reliability"] if b["from"] == low), None)
            cells.append(f"{b['right']} of {b['of']}, {b['mean_confidence']:.2f}" if b else "–")
        print(f"| {low:.1f} and up | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
