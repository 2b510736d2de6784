"""The facts of the document on a decision: the decision, its reasons, and whether a person has reviewed it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from shared.desk.case_state import CaseState, Stage, state
from shared.desk.errors import NoContact, NoSuchCase
from shared.desk.packet.parties import is_of_other
from shared.desk.packet.words import packet_words
from shared.desk.ports import DeskRows, Surroundings
from shared.desk.reasons import ShownReason, explained
from shared.desk.records import CaseId, HeldPix, KnownOutcome, PixFacts, Report, is_of_model
from shared.features.columns import SIDES
from shared.scoring.reason_words import Evidence

ANALYST = "ANALYST"
_VERDICTS = ("FRAUD", "LEGITIMATE")


class Cause(StrEnum):
    """The part of the system that gave a reason: a RULE, the MODEL, or the SYSTEM itself (control group, a fault)."""

    RULE = "RULE"
    MODEL = "MODEL"
    SYSTEM = "SYSTEM"


class ToldReason(Struct, frozen=True):
    """A reason with the numbers that its reader may see; `withholds` if others are about the other party alone."""

    reason: ShownReason
    cause: Cause
    norm: str | None
    withholds: bool


class ReviewState(StrEnum):
    """How far people have reviewed a decision; AWAITING a second person, DISPUTED if that one disagreed."""

    NONE = "NONE"
    AWAITING = "AWAITING"
    DISPUTED = "DISPUTED"
    CONCLUDED = "CONCLUDED"


class Reviewed(Struct, frozen=True):
    """The review of a decision by people, with the latest verdict and its time; None before there is one."""

    review: ReviewState
    verdict: str | None = None
    at: dt.datetime | None = None


class DecisionPacket(Struct, frozen=True):
    """The facts of a document about a decision, for the party on its side."""

    pix: HeldPix
    facts: PixFacts | None
    reasons: Sequence[ToldReason]
    reviewed: Reviewed
    outcomes: Sequence[KnownOutcome]
    contact: str
    made_at: dt.datetime

    @property
    def own_account(self) -> str:
        """Return the pseudonym of the reader's account."""
        return self.pix.payer_id if self.pix.side == "PAYER" else self.pix.payee_id

    def of(self, cause: str) -> list[ToldReason]:
        """Return the reasons that one part of the system (`Cause`) gave, in their order."""
        return [each for each in self.reasons if each.cause == cause]


async def find(
    rows: DeskRows, past: Surroundings, end_to_end_id: str, side: str | None, contact: str, now: dt.datetime
) -> DecisionPacket:
    """Return the facts about a Pix; without a side the payer's decision, or the payee's where it is the only one.

    Raises NoContact, NoSuchCase, Unavailable, Misconfigured.
    """
    found = await rows.decided([CaseId(end_to_end_id, each) for each in SIDES if side in (None, each)])
    if not found:
        raise NoSuchCase("no decision about this Pix and side is stored")
    pix = max(found, key=lambda each: each.side)
    return await decision_packet(pix, state(await rows.history(pix.case)), rows, past, contact, now)


async def decision_packet(
    pix: HeldPix, known: CaseState, rows: DeskRows, past: Surroundings, contact: str, now: dt.datetime
) -> DecisionPacket:
    """Return the facts about a decision whose case is in a state. Raises NoContact, Unavailable, Misconfigured."""
    if not contact.strip():
        raise NoContact("a document needs the contact for requests of a review: PIX_DESK_REVIEW_CONTACT")
    facts, outcomes = await asyncio.gather(rows.facts(pix.case), rows.outcomes(pix))
    reports = await past.reports(pix, facts, pix.initiated_at) if facts and known.judged is None else ()
    told = [_told(each, pix.side) for each in explained(pix.reasons, facts.features if facts else {})]
    return DecisionPacket(pix, facts, told, reviewed(known, pix, reports), outcomes, contact.strip(), now)


def reviewed(known: CaseState, pix: HeldPix, reports: Sequence[Report]) -> Reviewed:
    """Return the review of a Pix by the state of its case, else by the latest report of another tool's analyst."""
    if known.judged is not None:
        review = ReviewState.DISPUTED if known.is_disputed else _OF_STAGE[known.stage]
        return Reviewed(review, known.judged.verdict, (known.answer or known.judged).at)
    own = [each for each in reports if each.source == ANALYST and each.end_to_end_id == pix.end_to_end_id]
    latest = max((each for each in own if each.verdict in _VERDICTS), key=lambda each: each.reported_at, default=None)
    return (
        Reviewed(ReviewState.NONE)
        if latest is None
        else Reviewed(ReviewState.CONCLUDED, latest.verdict, latest.reported_at)
    )


_OF_STAGE = {
    Stage.AWAITING: ReviewState.AWAITING,
    Stage.JUDGED: ReviewState.CONCLUDED,
    Stage.OPEN: ReviewState.DISPUTED,
}


def _told(reason: ShownReason, side: str) -> ToldReason:
    shown = tuple(each for each in reason.evidence if not _is_withheld(each.words, side))
    norm = packet_words().norms.get(reason.code)
    return ToldReason(replace(reason, evidence=shown), _cause(reason.code), norm, len(shown) < len(reason.evidence))


def _is_withheld(words: object, side: str) -> bool:
    return isinstance(words, Evidence) and is_of_other(words.feature, side)


def _cause(code: str) -> Cause:
    if code in packet_words().norms:
        return Cause.RULE
    return Cause.MODEL if is_of_model(code) else Cause.SYSTEM
