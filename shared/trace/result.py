"""A trace as JSON."""

from __future__ import annotations

import datetime as dt
from typing import Any

from shared.contract.event import EPOCH
from shared.trace.flow import Step, Trace
from shared.trace.source import Untraced


def of(end_to_end_id: str, found: Trace | Untraced, with_steps: bool) -> dict[str, Any]:
    """Return the result about a Pix; amounts are decimal strings in BRL, times RFC 3339, shares 0 to 1."""
    if isinstance(found, Untraced):
        told = {"decision": found.decision, "life": found.outcome}
        return {"outcome": found.reason, "end_to_end_id": end_to_end_id, **told}
    steps = found.steps
    extent = {
        "outcome": "TRACED",
        "end_to_end_id": end_to_end_id,
        "amount": _brl(found.root.pix.net),
        "hops": max(step.member.layer for step in steps),
        "transactions": len(steps),
        "left_out": found.left_out,
        "accounts": len({step.pix.payee_id for step in steps}),
        "share_passed": found.root.share_passed,
        "limits": _limits(found),
    }
    return extent | ({"steps": [_step(found, step) for step in steps]} if with_steps else {})


def _limits(trace: Trace) -> dict[str, Any]:
    limits = trace.limits
    return {
        "max_hops": limits.hops_max,
        "hop_window_seconds": limits.hop_window.total_seconds(),
        "min_amount": _brl(limits.amount_min),
        "max_transactions": limits.transactions_max,
    }


def _step(trace: Trace, step: Step) -> dict[str, Any]:
    pix, (hop, root) = step.pix, trace.minutes(step)
    return {
        "end_to_end_id": pix.end_to_end_id,
        "hop": step.member.layer,
        "parent": step.parent,
        "payer_id": pix.payer_id,
        "payee_id": pix.payee_id,
        "settled_at": EPOCH + dt.timedelta(microseconds=pix.moved_at),
        "minutes_after_hop": round(hop, 2),
        "minutes_after_root": round(root, 2),
        "amount": _brl(pix.net),
        "returned": _brl(pix.returned),
        "traced": _brl(step.traced),
        "share_of_root": trace.share(step),
        "share_passed": step.share_passed,
        "stays": _brl(step.stays),
        "sources": {source.end_to_end_id: _brl(source.amount) for source in step.sources},
        "returns_to_path": step.member.returns,
        "decision": pix.decision,
        "verdict": pix.verdict,
    }


def _brl(centavos: int) -> str:
    return f"{centavos // 100}.{centavos % 100:02}"
