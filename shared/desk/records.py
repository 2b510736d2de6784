"""The records of the desk: a Pix under review, its surroundings, and the events of a case. Times are in UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from msgspec import Struct

from shared.contract.feedback import ShownBecause
from shared.contract.rows import ReviewRow
from shared.scoring.reason_words import reason_words

MODEL_PREFIX = "MODEL:"
"""Start of the codes of single features, by which models without exact reasons explain a score."""


class CaseId(Struct, frozen=True, order=True):
    """The Pix and side that a case is about; neither is personal data."""

    end_to_end_id: str
    side: str

    @property
    def text(self) -> str:
        """Return it as one text."""
        return f"{self.end_to_end_id}+{self.side}"


class ReviewEvent(StrEnum):
    """An action of somebody on a case."""

    TAKEN = "TAKEN"
    RETURNED = "RETURNED"
    JUDGED = "JUDGED"
    AGREED = "AGREED"
    DISAGREED = "DISAGREED"


class HeldPix(Struct, frozen=True):
    """A decision by which a Pix was held or blocked; `amount` is in centavos, `score` None where no model served."""

    end_to_end_id: str
    side: str
    initiated_at: dt.datetime
    scored_at: dt.datetime
    amount: int
    payer_id: str
    payee_id: str
    decision: str
    score: float | None = None
    policy_decision: str | None = None
    hold_until: dt.datetime | None = None
    reasons: tuple[str, ...] = ()
    model_version: str | None = None
    degraded: bool = False

    @property
    def case(self) -> CaseId:
        """Return the id of its case."""
        return CaseId(self.end_to_end_id, self.side)

    @property
    def shown_because(self) -> ShownBecause:
        """Return CONTROL where the control group decided, RULE where a rule fired, else MODEL."""
        if self.policy_decision is not None:
            return ShownBecause.CONTROL
        return ShownBecause.MODEL if all(map(is_of_model, self.reasons)) else ShownBecause.RULE

    @property
    def expected_loss(self) -> float | None:
        """Return the score times the amount, in centavos; None without a score."""
        return None if self.score is None else self.score * self.amount


def is_of_model(code: str) -> bool:
    """Return whether a reason is one of the model's.

    >>> is_of_model("NEW_PAYEE"), is_of_model("MODEL:AMOUNT"), is_of_model("NIGHT_LIMIT")
    (True, True, False)
    """
    return code.startswith(MODEL_PREFIX) or any(code == group.code for group in reason_words().groups)


class Payment(Struct, frozen=True):
    """A Pix of an account before, in centavos, with the decision of the side that was asked first."""

    end_to_end_id: str
    initiated_at: dt.datetime
    amount: int
    decision: str
    payer_id: str
    payee_id: str
    device_id: str | None = None


class KnownOutcome(Struct, frozen=True, order=True):
    """A step of a Pix after its decision; `status` is that of `pix-outcomes`."""

    at: dt.datetime
    status: str


class Report(Struct, frozen=True):
    """The latest state of a report about the accounts of a case, or of a fraud marker of their holders."""

    source: str
    reported_at: dt.datetime
    end_to_end_id: str | None = None
    status: str | None = None
    verdict: str | None = None
    situation_type: str | None = None
    fraud_type: str | None = None
    of_payer: bool = False
    of_payee: bool = False


class PixFacts(Struct, frozen=True):
    """The facts of a Pix that its row states beside the decision; `features` lack those without a value."""

    initiation_form: str
    purpose: str
    payer_ispb: str
    payee_ispb: str
    payer_opened_at: dt.date | None
    payee_opened_at: dt.date | None
    payee_key_type: str | None
    payee_key_owned_since: dt.date | None
    device_id: str | None
    device_registered: bool | None
    payer_person_id: str
    payee_person_id: str | None
    features: Mapping[str, float]


class CaseStep(Struct, frozen=True):
    """An event of a case, as it stands in `pix.reviews`."""

    review_id: str
    case: CaseId
    event: ReviewEvent
    at: dt.datetime
    by_id: str
    shown_because: str | None = None
    expires_at: dt.datetime | None = None
    verdict: str | None = None
    reason: str | None = None
    note: str | None = None
    seconds_taken: int | None = None
    needs_agreement: bool = False
    about_id: str | None = None

    @classmethod
    def of(cls, row: ReviewRow) -> Self:
        """Return the event of a row."""
        expires = None if row.expires_at is None else moment(row.expires_at)
        return cls(
            row.review_id,
            CaseId(row.end_to_end_id, row.side),
            ReviewEvent(row.event),
            moment(row.at),
            row.by_id,
            row.shown_because,
            expires,
            row.verdict,
            row.reason,
            row.note,
            row.seconds_taken,
            bool(row.needs_agreement),
            row.about_id,
        )


def moment(at: int) -> dt.datetime:
    """Return the time of microseconds since the epoch."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at)
