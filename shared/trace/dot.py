"""A trace as a graph for Graphviz: accounts are nodes, Pix are edges."""

from __future__ import annotations

import json

from shared.trace import words
from shared.trace.colours import colour
from shared.trace.flow import Step, Trace


def render(trace: Trace) -> str:
    """Return a trace in the DOT language (https://graphviz.org/doc/info/lang.html)."""
    accounts = dict.fromkeys(name for step in trace.steps for name in (step.pix.payer_id, step.pix.payee_id))
    nodes = [f"  {_quoted(name)} [label={_quoted(words.account(name))}];" for name in accounts]
    edges = [_edge(trace, step) for step in trace.steps]
    head = ["digraph trace {", "  rankdir=LR;", f"  label={_quoted(words.title(trace))};", "  node [shape=box];"]
    return "\n".join([*head, *nodes, *edges, "}"]) + "\n"


def _edge(trace: Trace, step: Step) -> str:
    pix = step.pix
    facts = [words.brl(pix.net), words.times(trace, step), words.judged(step), *words.money(trace, step)]
    attributes = {
        "label": "\n".join(filter(None, facts)),
        "tooltip": pix.end_to_end_id,
        "color": colour(pix.verdict),
        "penwidth": f"{1 + 4 * trace.share(step):.1f}",
        "style": "dashed" if step.member.returns else "solid",
    }
    listed = ", ".join(f"{name}={_quoted(value)}" for name, value in attributes.items())
    return f"  {_quoted(pix.payer_id)} -> {_quoted(pix.payee_id)} [{listed}];"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
