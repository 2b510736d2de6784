"""Settings of the probation after a swap, section `probation` of `jobs/config.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

AboveZero = Annotated[float, Meta(gt=0.0)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]


class ProbationSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of a model in its first minutes and on its first day, and the consequence beyond them.

    Shares count as outside of their bands only beyond chance, as their intervals are.
    """

    minutes: AboveZero
    """Minutes that the first look spans; they begin `settle_minutes` after the swap."""
    settle_minutes: AboveZero
    """Minutes after a move until every function has read the pointer, and until rows are stored."""
    rows_min: Annotated[int, Meta(ge=1)]
    """Decisions below which a look is too few to say: of a thousand, the alerts are a handful."""
    confidence: Share
    """Confidence of the intervals; high, as each swap is looked at twice and a false alarm may move the pointer."""
    served_min: Share
    """Least share of the decisions that are the new model's: below it, functions refuse it or cannot read it."""
    score_max: AboveZero
    """Largest stability index of the scores against the bundle's profile.

    Twice `drift.score_max`, which is of weeks: single quiet days of a simulated world reach 0.39
    (`make bench-health ARGS="--only swaps --swaps-seeds 55"`).
    """
    alerts_ratio_minutes: Annotated[float, Meta(gt=1.0)]
    """Alerts over those that the gate foretold, or the inverse, in the first minutes; a night is not a day."""
    alerts_ratio_day: Annotated[float, Meta(gt=1.0)]
    """The same on the first day."""
    outside: Literal["roll_back", "alert"]
    """The consequence outside a band: the version before serves again, or a person is told; of a rollback, only told.

    Shipped as `alert`: of quiet swaps of simulated worlds 3 % leave the bands, but nobody has measured it on real
    traffic.
    """
