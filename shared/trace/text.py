"""A trace as a tree of text."""

from __future__ import annotations

from collections.abc import Iterator

from shared.trace import words
from shared.trace.flow import Step, Trace


def render(trace: Trace) -> str:
    """Return a trace as a tree, one line a Pix, with its limits below."""
    children = trace.children()
    lines = [words.title(trace), _line(trace, trace.root), *_below(trace, children, trace.root, "")]
    return "\n".join([*lines, "", words.limits(trace)]) + "\n"


def _below(trace: Trace, children: dict[str, list[Step]], step: Step, indent: str) -> Iterator[str]:
    following = children[step.pix.end_to_end_id]
    for number, child in enumerate(following, 1):
        last = number == len(following)
        yield f"{indent}{'└─ ' if last else '├─ '}{_line(trace, child)}"
        yield from _below(trace, children, child, indent + ("   " if last else "│  "))


def _line(trace: Trace, step: Step) -> str:
    pix = step.pix
    way = f"{words.account(pix.payer_id)} → {words.account(pix.payee_id)}"
    facts = [words.times(trace, step), words.judged(step), *words.money(trace, step), pix.end_to_end_id]
    return f"{words.brl(pix.net)}  {way}  " + "; ".join(filter(None, facts))
