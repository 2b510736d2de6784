"""The life of a Pix, rebuilt from its stored rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import FEATURE_PREFIX
from shared.features.columns import Columns
from shared.features.facts import CENTAVO, IMPLIED, put_implying
from shared.features.life import (
    ENTRY,
    NO_RETURNS,
    REBUILT,
    RECOUNTED,
    UNCOUNTED,
    Lives,
    Returns,
    asked,
    stored_claims,
)
from shared.features.outcomes import PLACE_AT, Advance, Outcome, advance, decided

IMPLIED_COLUMNS = tuple(FEATURE_PREFIX + name for name in IMPLIED)
"""The columns of features from which the weights of a settlement follow."""


class Asked(NamedTuple):
    """A Pix as its stored rows tell it, by which a life is rebuilt that the store has forgotten."""

    event: Event
    scored_at: int
    """Microseconds since the epoch."""
    place: int | None
    """Of the ask in history, None if it was not counted."""
    implied: tuple[float | None, ...]
    """The features IMPLIED, as they were stored."""
    decisions: tuple[tuple[str, bool, int | None], ...] = ()
    """Side, whether it approved, and the place of the change by the decision, None for none."""
    outcomes: tuple[tuple[Outcome, int | None], ...] = ()
    """The stored outcomes, in the order of their arrival, with their places."""


def rebuilt(asked_for: Asked) -> tuple[Lives, Returns]:
    """Return the life [1] of a Pix whose settlement has the weights that its features imply, and its returns.

    Its version is 0, the one of a life that is not stored.
    """
    columns = Columns.of([asked_for.event])
    life = asked(columns, asked_for.scored_at)
    put_implied(life, np.array([asked_for.implied], dtype=np.float32))
    life["place"] = UNCOUNTED if asked_for.place is None else asked_for.place
    for side, approved, place in asked_for.decisions:
        if place is not None:
            life = _placed(decided(life, [side], np.array([approved])), place)
    returns = NO_RETURNS
    for outcome, place in asked_for.outcomes:
        after = advance(life, [outcome], returns=[returns])
        if after.place_at[0] < 0:
            continue
        own = -1 if place is None else place
        if outcome.return_id:
            life, returns = after.lives, after.returns[0]
            returns["place"][-1] = own
        else:
            life = _placed(after, own)
    life["version"] = 0
    return life, returns


def claims_of_rows(asked_for: Asked) -> bytes:
    """Return the claims of the sides whose rows are stored, as they stand behind a life."""
    return stored_claims(side for side, _, _ in asked_for.decisions)


def put_implied(lives: Lives, features: NDArray[np.float32]) -> None:
    """Write features IMPLIED [n, 7] into lives, in the place of reads that are lost."""
    lives["reads"] = np.nan
    lives["reads"][:, : len(IMPLIED)] = features
    lives["flags"] |= REBUILT


def read_as_decided(lives: Lives, features: NDArray[np.float32]) -> Lives:
    """Return lives [n] that were counted again; by their reads they settle as by features IMPLIED [n, 7].

    Other shards may have counted the settlements, and do not count them again by other weights.
    """
    found = lives.copy()
    reads = np.ascontiguousarray(found["reads"]).reshape(len(found), -1)
    put_implying(reads, features, found["amount"] * CENTAVO)
    found["reads"] = reads
    found["flags"] |= RECOUNTED
    found["version"] += 1
    return found


def _placed(after: Advance, place: int) -> Lives:
    log = after.lives["outcomes"][0]
    log["place"][(int(after.place_at[0]) - PLACE_AT) // ENTRY] = place
    return after.lives
