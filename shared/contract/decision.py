"""The decision about a Pix as others read it: as the answer over HTTP, and as a message of `pix-decisions`."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.contract.event import EPOCH
from shared.contract.rows import ScoreRow


class DecisionName(StrEnum):
    """HOLD is the word of the payer's institution, BLOCK that of the payee's."""

    APPROVE = "APPROVE"
    HOLD = "HOLD"
    BLOCK = "BLOCK"
    REJECT = "REJECT"


class Decided(Struct, frozen=True):
    """The decision of one side about a Pix; times are microseconds since the epoch."""

    end_to_end_id: str
    side: str
    decision: str
    hold_until: int | None
    score: float | None
    reasons: list[str]
    model_version: str | None
    degraded: bool
    scored_at: int

    @classmethod
    def of(cls, row: ScoreRow) -> Decided:
        """Return the decision in a row."""
        own = (getattr(row, name) for name in cls.__struct_fields__[2:])
        return cls(row.event.end_to_end_id, row.event.side, *own)


class DecisionAnswer(Struct, frozen=True):
    """The answer to the question about one Pix."""

    end_to_end_id: Annotated[str, Meta(description="EndToEndId of the Pix")]
    side: Annotated[str, Meta(description="Institution that asks: PAYER or PAYEE")]
    decision: DecisionName
    hold_until: Annotated[
        dt.datetime | None,
        Meta(description="When a Pix that is held or blocked has to be released or refused; null for any other"),
    ]
    score: Annotated[float | None, Meta(description="Chance of fraud; null: no model scored it")]
    reasons: Annotated[list[str], Meta(description="Codes of rules and model, strongest first")]
    model_version: Annotated[str | None, Meta(description="The model that scored it; null: none")]
    degraded: Annotated[bool, Meta(description="Whether it was decided without model or history")]
    scored_at: Annotated[dt.datetime, Meta(description="When the side first asked about it")]
    first: Annotated[bool, Meta(description="Whether the side asked for the first time, by this API or the topic")]

    @classmethod
    def of(cls, decided: Decided, first: bool) -> DecisionAnswer:
        """Return the answer to the first question about a Pix, or to a later one."""
        return cls(
            decided.end_to_end_id,
            decided.side,
            DecisionName(decided.decision),
            None if decided.hold_until is None else instant(decided.hold_until),
            decided.score,
            decided.reasons,
            decided.model_version,
            decided.degraded,
            instant(decided.scored_at),
            first,
        )


class DecisionEvent(StrEnum):
    """The news in a message of `pix-decisions`: a first decision, or the end of a hold or block.

    RELEASED lets a Pix go on that was held or blocked, REFUSED ends it: by an outcome, a reviewer or the deadline.
    """

    DECIDED = "DECIDED"
    RELEASED = "RELEASED"
    REFUSED = "REFUSED"


class DecisionMessage(Struct, frozen=True):
    """A message of `pix-decisions`, the JSON of its data; it comes at least once.

    `ended_by` is OUTCOME, REVIEW or DEADLINE, the reason why a hold has ended at `ended_at`; of a decision, both are
    None.
    """

    event: DecisionEvent
    end_to_end_id: str
    side: str
    decision: str
    hold_until: dt.datetime | None
    score: float | None
    reasons: list[str]
    model_version: str | None
    degraded: bool
    scored_at: dt.datetime
    ended_at: dt.datetime | None = None
    ended_by: str | None = None

    @classmethod
    def decided(cls, row: ScoreRow) -> DecisionMessage:
        """Return the news of the decision in a row."""
        return cls._of(DecisionEvent.DECIDED, Decided.of(row))

    @classmethod
    def ended(cls, event: DecisionEvent, decided: Decided, at: int, by: str) -> DecisionMessage:
        """Return the news that a hold or block has ended at a time in microseconds."""
        return msgspec.structs.replace(cls._of(event, decided), ended_at=instant(at), ended_by=by)

    @classmethod
    def _of(cls, event: DecisionEvent, decided: Decided) -> DecisionMessage:
        answer = DecisionAnswer.of(decided, first=True)
        return cls(event, **{name: getattr(answer, name) for name in Decided.__struct_fields__})

    @property
    def attributes(self) -> dict[str, str]:
        """Return the attributes by which a subscription filters."""
        degraded = "true" if self.degraded else "false"
        return {"event": self.event, "decision": self.decision, "side": self.side, "degraded": degraded}


def instant(micros: int) -> dt.datetime:
    """Return the time that lies `micros` microseconds after the epoch.

    >>> instant(1_500_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return EPOCH + dt.timedelta(microseconds=micros)
