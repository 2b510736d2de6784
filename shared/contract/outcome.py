"""An outcome of a Pix, as it is published to `pix-outcomes`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from shared.contract.decoding import TolerantDecoder
from shared.contract.fields import Amount, EndToEndId, Instant, Side, centavos_of
from shared.contract.transaction import check_end_to_end_id, check_instant
from shared.errors import Malformed

Reason = Annotated[
    str, Meta(pattern=r"^[A-Z0-9]{2,8}$(?!\n)", description="Reason code of the SPI, such as AB03, BE08 or FR01.")
]


class OutcomeStatus(StrEnum):
    """The outcome of a Pix.

    SETTLED and REJECTED are pacs.002's words or the institution's own; EXPIRED and CANCELLED are Pix that were never
    sent; RETURNED is a pacs.004; BLOCKED and RELEASED are the bloqueio cautelar of the payee's institution.
    """

    SETTLED = "SETTLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    RETURNED = "RETURNED"
    BLOCKED = "BLOCKED"
    RELEASED = "RELEASED"


_OF_THE_PAYEE = (OutcomeStatus.BLOCKED, OutcomeStatus.RELEASED)
_is_return_id = re.compile(r"D[0-9A-Z]{8}[0-9]{12}[0-9A-Za-z]{11}").fullmatch


class PixOutcome(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One outcome of one Pix; a return has an id of its own (RtrId) and an amount."""

    end_to_end_id: EndToEndId
    status: OutcomeStatus
    at: Instant
    side: Side = Side.PAYER
    reason: Reason | None = None
    return_id: EndToEndId | None = None
    amount: Amount | None = None

    @property
    def centavos(self) -> int | None:
        """Return the amount in centavos."""
        return None if self.amount is None else centavos_of(self.amount)


def _check(outcome: PixOutcome) -> None:
    """Check the conditions that a pattern cannot express. Raises Malformed."""
    check_end_to_end_id(outcome.end_to_end_id)
    check_instant("at", outcome.at)
    if outcome.status in _OF_THE_PAYEE and outcome.side is not Side.PAYEE:
        raise Malformed("invalid_value", "side")
    if outcome.status is not OutcomeStatus.RETURNED:
        return
    if outcome.return_id is None or outcome.amount is None:
        raise Malformed("missing_field", "return_id" if outcome.return_id is None else "amount")
    if not _is_return_id(outcome.return_id):
        raise Malformed("invalid_value", "return_id")
    if not outcome.amount.strip("0."):
        raise Malformed("invalid_value", "amount")


decode_outcome = TolerantDecoder(PixOutcome, check=_check)
"""Decode one message of `pix-outcomes`; raises Malformed."""
