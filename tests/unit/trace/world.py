"""Pix of a small world, in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from shared.trace.flow import MINUTE, Trace, follow
from shared.trace.graph import Pix, Spans, TraceLimits, grow

WIDE = TraceLimits(hops_max=5, hop_window=dt.timedelta(hours=2), amount_min=100, transactions_max=1000)


def pix(name: str, payer: str, payee: str, brl: float, minute: float, **fields: str | int) -> Pix:
    """Return a Pix; minutes count from the epoch, `returned` is in centavos."""
    known: dict[str, str | int] = {"returned": 0, "decision": "APPROVE", **fields}
    moved_at = round(minute * MINUTE)
    return Pix(name, payer, payee, round(brl * 100), int(known.pop("returned")), moved_at, **known)  # type: ignore[arg-type]  # names of fields


def sender(every: Sequence[Pix]) -> Callable[[Spans], list[Pix]]:
    """Return the asking for Pix of accounts in their periods, and in others, as tables answer."""
    return lambda spans: [each for each in every if each.payer_id in spans]


def traced(root: Pix, every: Sequence[Pix], limits: TraceLimits = WIDE) -> Trace:
    """Return the trace of a root among Pix."""
    return follow(grow(root, sender(every), limits), limits)


def shown(trace: Trace) -> Mapping[str, tuple[int, str | None, float]]:
    """Return layer, parent and traced BRL by Pix."""
    return {step.pix.end_to_end_id: (step.member.layer, step.parent, step.traced / 100) for step in trace.steps}
