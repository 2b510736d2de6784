"""The control group: a few Pix, chosen by chance, are decided one step milder than the model would.

A Pix that is stopped shows nothing: nobody reports a fraud that was never paid, so a model would learn only from Pix
that its predecessor let pass. A Pix of this group is held where the model rejects it, and paid where it holds it;
its outcome stands for the others like it. Its row has the decision of rules and model and the chance it had.

Only a Pix that the model alone stops may be drawn: never a Pix on which a rule fired (a norm, a marker in DICT, a
suspicion), nor one that was decided without history or without a model. The chance falls with the score and with the
amount, as both make a mistake dearer:

    chance = share * (end - score) / (end - start) * (1 - amount / budget.pix)

where `share` is `budget.reject_share` for a Pix that the model rejects, else `budget.share`, and `start` and `end`
are the scores between which the model takes its decision: from the threshold of a hold to that of a reject, or from
there to 1. A Pix that is held instead of rejected costs a review, and no customer's money, so a part of the budget is
reserved for these.
"""

from __future__ import annotations

import hmac
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from shared.contract.derived_key import derived_key, number_of
from shared.scoring.thresholds import SideThresholds

CONTROL = "models/control.json"
CONTROL_GROUP = "CONTROL_GROUP"
"""Reason code of a Pix that was decided milder, behind the reasons of the model."""

_PURPOSE = b"pix control group"
_TICKET_BYTES = 16
Centavos = Annotated[int, Meta(gt=0, le=10**15)]


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """The extent of a control group; amounts are in centavos."""

    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    """The largest chance of a Pix that the model holds: that of one at the threshold whose amount is small."""
    reject_share: Annotated[float, Meta(gt=0.0, le=1.0)]
    """The same of a Pix that the model rejects; it may be larger, as such a Pix costs a review."""
    pix: Centavos
    """Amount from which a Pix has no chance."""
    day: Centavos
    """Most that is spent on a local day."""
    month: Centavos
    """Most that is spent in a local month."""
    review: Annotated[int, Meta(ge=0, le=10**15)]
    """Cost of a review, spent on a Pix that is held instead of rejected; one that is paid spends its amount."""
    reserved: Annotated[int, Meta(ge=0, le=10**15)]
    """The rest for the Pix that are held instead of rejected: below it no other one is paid."""

    def __post_init__(self) -> None:
        if not self.pix <= self.day <= self.month:
            raise ValueError("the amounts of a Pix, a day and a month do not rise")
        if self.reserved >= self.day:
            raise ValueError("all of a day's amount is reserved")


class Switch(Struct, frozen=True, forbid_unknown_fields=True):
    """Content of `models/control.json`: the budget, None while the control group is off, and its last change."""

    budget: Budget | None
    changed_at: str
    """In ISO 8601."""
    actor: str
    reason: str


def chances(
    budget: Budget,
    thresholds: SideThresholds,
    scores: NDArray[np.float64],
    payees: NDArray[np.bool_],
    amounts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the chance of n Pix to be decided one step milder than by these thresholds, 0 for one that is approved.

    `payees` is true on the payee's side, `amounts` are in centavos. Rules are not known here: see the module.

    >>> from shared.scoring.thresholds import Thresholds
    >>> thresholds = SideThresholds(Thresholds(0.2, 0.6), Thresholds(0.2, 0.6))
    >>> budget = Budget(0.1, reject_share=0.2, pix=100_00, day=500_00, month=5_000_00, review=4_00, reserved=0)
    >>> scores = np.array([0.1, 0.2, 0.4, 0.4, 0.6, 0.8])
    >>> amounts = np.array([0, 0, 0, 50_00, 0, 100_00])
    >>> chances(budget, thresholds, scores, np.zeros(6, dtype=bool), amounts).round(3).tolist()
    [0.0, 0.1, 0.05, 0.025, 0.2, 0.0]
    """
    hold = np.where(payees, thresholds.payee.hold, thresholds.payer.hold)
    reject = np.where(payees, thresholds.payee.reject, thresholds.payer.reject)
    rejected = scores >= reject
    start, end = np.where(rejected, reject, hold), np.where(rejected, 1.0, np.minimum(reject, 1.0))
    width = np.maximum(end - start, np.finfo(np.float64).tiny)
    by_score = np.clip((end - scores) / width, 0.0, 1.0)
    by_amount = np.maximum(1.0 - amounts / budget.pix, 0.0)
    share = np.where(rejected, budget.reject_share, budget.share)
    return np.where(scores >= hold, share * by_score * by_amount, 0.0)


class Ticket(NamedTuple):
    """The part of a Pix and side in the draw: a name without meaning, and a number in [0, 1)."""

    name: str
    number: float


class Lottery:
    """Give each Pix and side the same ticket on every instance and at every delivery.

    The key is derived from the secret of the pseudonyms, so that nobody who chooses an EndToEndId chooses its number.

    >>> draw = Lottery(b"secret")
    >>> draw("E1", "PAYER") == draw("E1", "PAYER"), draw("E1", "PAYER") == draw("E1", "PAYEE")
    (True, False)
    """

    def __init__(self, secret: bytes) -> None:
        """Raise Misconfigured without a secret."""
        self._key = derived_key(secret, _PURPOSE)

    def __call__(self, end_to_end_id: str, side: str) -> Ticket:
        """Return the ticket of a Pix and side."""
        digest = hmac.digest(self._key, f"{end_to_end_id}:{side}".encode(), "sha256")
        return Ticket(digest[-_TICKET_BYTES:].hex(), number_of(digest))
