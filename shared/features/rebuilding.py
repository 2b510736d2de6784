"""The life of a Pix, rebuilt from its stored rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.arrays import Floats
from shared.features.columns import Columns
from shared.features.layout import READ_WIDTH, READS
from shared.features.life import UNCOUNTED, Lives, asked
from shared.features.outcomes import ENTRY, PLACE_AT, Advance, Outcome, advance, decided

IMPLIED = (
    *(f"f_amount_to_received_{span}" for span in ("1h", "1d", "7d")),
    *("f_payer_taint_7d", "f_payer_taint_30d", "f_new_pair", "f_new_device"),
)
"""The columns of features from which the weights of a settlement follow."""


_RECEIVED = [READS[f"payer_received_amount_{span}"] for span in ("1h", "1d", "7d")]
_TAINT = [READS["payer_taint_7d"], READS["payer_taint_30d"]]
_SEEN = [READS["pair_count_30d"], READS["handset_count_30d"]]


class Asked(NamedTuple):
    """A Pix as its stored rows tell it, by which a life is rebuilt that the store has forgotten."""

    event: Event
    scored_at: int
    """Microseconds since the epoch."""
    place: int | None
    """Of the ask in history, None if it was not counted."""
    implied: tuple[float | None, ...]
    """The features IMPLIED."""
    decisions: tuple[tuple[str, bool, int | None], ...] = ()
    """Side, whether it approved, and the place of the change by the decision, None for none."""
    outcomes: tuple[tuple[Outcome, int | None], ...] = ()
    """The stored outcomes, in the order of their arrival, with their places."""


def rebuilt(asked_for: Asked) -> Lives:
    """Return the life [1] of a Pix whose settlement has the weights that its features imply.

    Its version is 0, the one of a life that is not stored.
    """
    columns = Columns.of([asked_for.event])
    life = asked(columns, asked_for.scored_at)
    features = np.array([asked_for.implied], dtype=np.float64)
    life["reads"] = implied_reads(columns.amount, features)
    life["place"] = UNCOUNTED if asked_for.place is None else asked_for.place
    for side, approved, place in asked_for.decisions:
        if place is not None:
            life = _placed(decided(life, [side], np.array([approved])), place)
    for outcome, place in asked_for.outcomes:
        after = advance(life, [outcome])
        if after.place_at[0] >= 0:
            life = _placed(after, -1 if place is None else place)
    life["version"] = 0
    return life


def implied_reads(amount: Floats, features: Floats) -> NDArray[np.float32]:
    """Return reads [n, READ_WIDTH] from which `facts.extras` follow, given the features [n, len(IMPLIED)].

    Features are float32, as reads are, so the weights differ from the first ones by rounding only.
    """
    reads = np.zeros((len(amount), READ_WIDTH), dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        reads[:, _RECEIVED] = np.nan_to_num(amount[:, None] / features[:, :3], nan=0.0, posinf=0.0)
    reads[:, _TAINT] = np.nan_to_num(features[:, 3:5])
    reads[:, _SEEN] = features[:, 5:] != 1
    return reads


def _placed(after: Advance, place: int) -> Lives:
    log = after.lives["outcomes"][0]
    log["place"][(int(after.place_at[0]) - PLACE_AT) // ENTRY] = place
    return after.lives
