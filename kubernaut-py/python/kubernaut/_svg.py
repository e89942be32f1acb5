"""A diagnosis as a picture: boxes from the symptom to the cause, and what was decided."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernaut._models import Analysis, Report

_WIDTH, _HEIGHT, _GAP = 300, 46, 26


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _box(y: int, title: str, below: str, colour: str) -> str:
    return (
        f'<g><title>{escape(title)}\n{escape(below)}</title>'
        f'<rect x="10" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{colour}" stroke="#334155"/>'
        f'<text x="22" y="{y + 19}" font-weight="bold">{escape(_clip(title, 40))}</text>'
        f'<text x="22" y="{y + 36}" font-size="10">{escape(_clip(below, 52))}</text></g>'
    )


def _arrow(y: int) -> str:
    middle = 10 + _WIDTH // 2
    return f'<path d="M{middle} {y} v{_GAP - 6}" stroke="#334155" marker-end="url(#k-arrow)"/>'


def chain(steps: list[tuple[str, str]], verdict: str) -> str:
    """Boxes under each other, the symptom first; the last one is the cause."""
    step = _HEIGHT + _GAP
    height = step * len(steps) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 20}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="from symptom to cause">'
        '<defs><marker id="k-arrow" markerWidth="8" markerHeight="8" refX="5" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#334155"/></marker></defs>'
    ]
    for index, (title, below) in enumerate(steps):
        last = index == len(steps) - 1
        colour = "#fecaca" if last else "#fef3c7" if index == 0 else "#e2e8f0"
        parts.append(_box(10 + index * step, title, below, colour))
        if not last:
            parts.append(_arrow(10 + index * step + _HEIGHT))
    parts.append(f'<text x="12" y="{height - 10}">{escape(_clip(verdict, 60))}</text></svg>')
    return "".join(parts)


def _steps(target: str, links: list[str], cause: str, below: str) -> list[tuple[str, str]]:
    names = [link for link in links if link]
    if not names or names[0] != target:
        names.insert(0, target)
    if names[-1] != cause and not names[-1].startswith(cause):
        names.append(cause)
    return [(name, below if i == len(names) - 1 else "alerted" if i == 0 else "") for i, name in enumerate(names)]


def report(found: Report) -> str:
    """The first cause of an ad-hoc analysis."""
    if not found.candidates:
        return chain([(found.target, "no cause found")], f"decision: {found.decision}")
    first = found.candidates[0]
    below = f"{first.category} ({first.confidence:.0%})"
    return chain(_steps(found.target, first.chain, first.object, below), f"decision: {found.decision}")


def analysis(found: Analysis) -> str:
    """The first cause of an incident's analysis."""
    target = str(found.target)
    if not found.candidates:
        return chain([(target, "no cause found")], "")
    first = found.candidates[0]
    below = f"{first.category} ({first.confidence:.0%})"
    verdict = f"proposal: {found.actions[0].action}" if found.actions else "no proposal"
    return chain(_steps(target, first.chain, str(first.object), below), verdict)


def page(found: Report) -> str:
    """The picture with its evidence and proposals, for notebooks."""
    evidence = found.candidates[0].evidence if found.candidates else []
    facts = "".join(f"<li><code>{escape(fact.object)}</code> {escape(fact.text)}</li>" for fact in evidence)
    actions = "".join(f"<li><code>{escape(a.action)}</code> on {escape(a.target)} — {escape(a.expected_effect)}</li>" for a in found.actions)
    summary = escape(found.candidates[0].summary) if found.candidates else "no cause found"
    return (
        f'<div class="kubernaut-report"><p><b>{escape(found.target)}</b>: {summary}</p>{report(found)}'
        f"<p>evidence</p><ul>{facts}</ul><p>proposals: {escape(found.decision)}, {escape(found.reason)}</p><ul>{actions}</ul></div>"
    )
