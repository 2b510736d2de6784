"""Fit the outcomes and reports of a Pix to the decision on it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, NamedTuple

from infra.local.aftermath.reviewers import complains, refuses
from shared.contract.topics import FEEDBACK, OUTCOMES

Message = dict[str, Any]
COMPLAINT_SECONDS = 60.0
"""From a refusal to the verdict after a complaint; short, as nothing may be dated ahead of the clock by minutes."""
_REFUSALS = frozenset({"REJECTED", "EXPIRED", "CANCELLED"})
_REVIEWED = frozenset({"HOLD", "BLOCK"})
_NAMESPACE = uuid.UUID("6f3c1a52-5d0e-4b5e-9a55-0c7f9d3e2b11")


class TopicMessage(NamedTuple):
    """A message and its topic."""

    topic: str
    message: Message


class DecidedPix(NamedTuple):
    """A Pix, the strictest decision on it, and the truth: the situation of a fraud, None if it is legitimate."""

    end_to_end_id: str
    amount: str
    payee_ispb: str
    decision: str
    situation: str | None

    @property
    def is_refused(self) -> bool:
        """Whether it was rejected, or stopped for review and refused: the payee has no money of it."""
        if self.decision in _REVIEWED:
            return refuses(self.end_to_end_id, self.situation)
        return self.decision == "REJECT"


def fitted(pix: DecidedPix, outcome: Message) -> list[TopicMessage]:
    """Return the messages in the place of an outcome, after the decision.

    A Pix that is rejected, or held and refused, is told as rejected. One that is blocked was credited: it is released
    to its payee, or goes back. A review ends in the verdict of an analyst, and so does a complaint. The sequel of a
    settlement that did not take place never happens.

    >>> settled = {"end_to_end_id": "E1", "status": "SETTLED", "at": "2026-11-20T14:32:06Z"}
    >>> [told.message["status"] for told in fitted(DecidedPix("E1", "5.00", "12345678", "REJECT", "SCAM"), settled)]
    ['REJECTED']
    """
    if pix.decision == "APPROVE" or outcome["status"] in _REFUSALS:
        return [TopicMessage(OUTCOMES, outcome)]
    if outcome["status"] != "SETTLED":
        return [] if pix.is_refused else [TopicMessage(OUTCOMES, outcome)]
    return [*(TopicMessage(OUTCOMES, one) for one in _settlement(pix, outcome)), *_verdicts(pix, outcome["at"])]


def left_to_desk(pix: DecidedPix, outcome: Message) -> list[TopicMessage]:
    """Return the messages in the place of an outcome where people review: one that is stopped waits for them.

    Money that is blocked has been credited before; decisions of the desk have no outcome here.

    >>> left_to_desk(DecidedPix("E1", "5.00", "12345678", "HOLD", "SCAM"), {"status": "SETTLED"})
    []
    """
    if pix.decision not in _REVIEWED:
        return fitted(pix, outcome)
    if pix.decision == "HOLD" or outcome["status"] != "SETTLED":
        return []
    return [TopicMessage(OUTCOMES, outcome), TopicMessage(OUTCOMES, _as(outcome, "BLOCKED", "PAYEE"))]


def _settlement(pix: DecidedPix, outcome: Message) -> list[Message]:
    """Return the outcomes in the place of a settlement of a Pix that was stopped."""
    if pix.decision != "BLOCK":
        return [_as(outcome, "REJECTED", outcome.get("side", "PAYER")) if pix.is_refused else outcome]
    blocked = _as(outcome, "BLOCKED", "PAYEE")
    return [outcome, blocked, _given_back(pix, outcome) if pix.is_refused else _as(outcome, "RELEASED", "PAYEE")]


def _as(outcome: Message, status: str, side: str) -> Message:
    return {name: outcome[name] for name in ("end_to_end_id", "at")} | {"status": status, "side": side}


def _given_back(pix: DecidedPix, outcome: Message) -> Message:
    """Return the return of the whole amount by the payee's institution, for well-founded suspicion of fraud."""
    minute = dt.datetime.fromisoformat(outcome["at"]).astimezone(dt.UTC)
    return_id = f"D{pix.payee_ispb}{minute:%Y%m%d%H%M}{pix.end_to_end_id[-11:]}"
    more = {"return_id": return_id, "amount": pix.amount, "reason": "FR01"}
    return _as(outcome, "RETURNED", outcome.get("side", "PAYER")) | more


def _verdicts(pix: DecidedPix, at: str) -> list[TopicMessage]:
    """Return the verdict of the review of a Pix, if there was one, and that after a complaint."""
    found = []
    if pix.decision != "REJECT":
        found.append(_verdict(pix, "review", "FRAUD" if pix.is_refused else "LEGITIMATE", at))
    if pix.is_refused and complains(pix.end_to_end_id, pix.situation):
        later = dt.datetime.fromisoformat(at) + dt.timedelta(seconds=COMPLAINT_SECONDS)
        moment = later.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found.append(_verdict(pix, "complaint", "LEGITIMATE", moment))
    return found


def _verdict(pix: DecidedPix, about: str, verdict: str, at: str) -> TopicMessage:
    report_id = str(uuid.uuid5(_NAMESPACE, f"{about} {pix.end_to_end_id}"))
    word = {"report_id": report_id, "end_to_end_id": pix.end_to_end_id, "reported_at": at, "verdict": verdict}
    return TopicMessage(FEEDBACK, {"source": "ANALYST"} | word)
