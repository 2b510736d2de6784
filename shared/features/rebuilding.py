"""The life of a Pix, rebuilt from its stored rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.contract.event import Event
from shared.features.columns import Columns
from shared.features.layout import READS
from shared.features.life import UNCOUNTED, Lives, asked
from shared.features.outcomes import ENTRY, PLACE_AT, Advance, Outcome, advance, decided


class Asked(NamedTuple):
    """A Pix as its stored rows tell it, by which a life is rebuilt that the store has forgotten."""

    event: Event
    scored_at: int
    """Microseconds since the epoch."""
    place: int | None
    """Of the ask in history, None if it was not counted."""
    amount_to_received: tuple[float | None, float | None, float | None]
    """The features of this name, by 1h, 1d and 7d."""
    payer_taint: tuple[float | None, float | None]
    """The features of this name, by 7d and 30d."""
    new_pair: bool
    new_device: bool
    decisions: tuple[tuple[str, bool, int | None], ...] = ()
    """Side, whether it approved, and the place of the change by the decision, None for none."""
    outcomes: tuple[tuple[Outcome, int | None], ...] = ()
    """The stored outcomes, in the order of their arrival, with their places."""


def rebuilt(asked_for: Asked) -> Lives:
    """Return the life [1] of a Pix whose settlement has the weights that its features imply.

    They are float32, as reads are, so the weights differ from the first ones by rounding only. Its version is 0, the
    one of a life that is not stored.
    """
    columns = Columns.of([asked_for.event])
    life = asked(columns, asked_for.scored_at)
    reads, amount = life["reads"][0], float(columns.amount[0])
    reads[:] = 0.0
    reads[READS["pair_count_30d"]], reads[READS["handset_count_30d"]] = (
        not asked_for.new_pair,
        not asked_for.new_device,
    )
    for span, ratio in zip(("1h", "1d", "7d"), asked_for.amount_to_received, strict=True):
        reads[READS[f"payer_received_amount_{span}"]] = amount / ratio if ratio else 0.0
    for span, taint in zip(("7d", "30d"), asked_for.payer_taint, strict=True):
        reads[READS[f"payer_taint_{span}"]] = taint or 0.0
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


def _placed(after: Advance, place: int) -> Lives:
    log = after.lives["outcomes"][0]
    log["place"][(int(after.place_at[0]) - PLACE_AT) // ENTRY] = place
    return after.lives
