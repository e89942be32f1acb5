# %% [markdown]
# # What is wrong, as a picture
# Analyses a recorded incident and draws the chain from symptom to cause. Runs as cells in a notebook, and as a program:
#
#     python examples/python/draw_chain.py examples/bundles/crashing-release chain.svg

# %%
from __future__ import annotations

import sys
from pathlib import Path

import kubernaut

bundle, picture = sys.argv[1], Path(sys.argv[2])

# %%
report = kubernaut.analyze_bundle(bundle)
report  # a notebook shows the chain, its evidence and the proposals here

# %%
cause = report.candidates[0]
print(f"{report.target}: {cause.summary}")
for fact in cause.evidence:
    print(f"  {fact.object}: {fact.text}")

# %%
picture.write_text(report.chain_svg())
print(f"drawn: {picture}")
