"""Settings of the measurement of drift."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Days = Annotated[int, Meta(ge=1)]
AboveZero = Annotated[float, Meta(gt=0.0)]


class DriftSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When the score or a feature has drifted. Indices are population stability indices."""

    score_max: AboveZero
    """Index of the score above which it has drifted, and a training is due.

    0.25 is the usual limit of a shift. Source: Siddiqi, Credit Risk Scorecards, Wiley, 2006.
    """
    score_days: Days
    """Days from a champion's first one whose scores are its reference; four weeks hold a payday and a month's end."""
    feature_min: AboveZero
    """Index up to which a feature is stable, whatever its habit; 0.1 by the same source."""
    deviations: AboveZero
    """Standard deviations, of the logarithm of its own movements, from which a feature's movement is an alert.

    Some 150 features are looked at each day. At 6, two simulated worlds gave an alert on 1 of 120 quiet days, and the
    Handbook's stream on none of 123; at 5 it was 2 and 0, at 4 it was 7 and 0.
    """
    remembered_days: Days
    """Days with which a day is compared: nine weeks hold every weekday, two paydays and two ends of a month."""
    movements_min: Annotated[int, Meta(ge=2)]
    """Movements of a feature that have to be known before one can be unusual."""
    weighted_min: AboveZero
    """Log-odds of the raw score up to which the move of an input is stable, whatever its habit.

    A mean log-odds moved by 0.1 is a tenth more or fewer frauds foretold.
    """
    loss_rise_max: Annotated[float, Meta(gt=1.0)]
    """Foretold loss of a Pix, by the usual one, from which a training is due if the rise is beyond chance."""
