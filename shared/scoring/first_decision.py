"""The first decision about a Pix, which stands even if its row could not be stored at the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from shared.contract.rows import Challenged, ScoreRow

if TYPE_CHECKING:  # the functions of outcomes and reports read kept decisions, and have no runtime of models
    from shared.scoring.policy import Decisions


class FirstDecision(Struct, frozen=True, array_like=True):
    """A decision and its grounds, as history keeps them with the claim of a side."""

    decision: str
    score: float | None
    reasons: list[str]
    hold_until: int | None
    model_version: str | None
    degraded: bool
    policy_decision: str | None = None
    """None also for a decision that was kept before there was a control group."""
    control_probability: float | None = None
    reason_contributions: list[float] = []
    """Empty also for a decision that was kept before reasons had contributions."""
    challenged: Challenged | None = None

    @classmethod
    def of(cls, row: ScoreRow) -> FirstDecision:
        """Return the decision in a row."""
        return cls(*(getattr(row, name) for name in cls.__struct_fields__))

    @classmethod
    def decode(cls, data: bytes) -> FirstDecision:
        """Return the decision that `encode` wrote."""
        return msgspec.json.decode(data, type=cls)

    def encode(self) -> bytes:
        """Return the decision as JSON."""
        return msgspec.json.encode(self)

    def applied(self, row: ScoreRow) -> ScoreRow:
        """Return a row with this decision."""
        return msgspec.structs.replace(row, **msgspec.structs.asdict(self))


def first_decisions(decisions: Decisions, answers: Sequence[bytes | None]) -> Decisions:
    """Return decisions [n] of which those with an answer are as they were made first."""
    if not any(answers):
        return decisions
    names = [
        FirstDecision.decode(answer).decision if answer else name
        for name, answer in zip(decisions.decisions, answers, strict=True)
    ]
    return decisions._replace(decisions=names)
