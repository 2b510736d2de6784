"""Settings of the running comparison of champion and challenger, section `contest` of `jobs/config.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

AboveZero = Annotated[float, Meta(gt=0.0)]
Positive = Annotated[int, Meta(ge=1)]


class ContestSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When `jobs.compare --apply` says that a challenger is better or worse, and the consequence."""

    label_age_days: Literal[1, 3, 7, 14, 30, 60, 87]
    """Days after a day's end at which its labels are read, one of the ages of `pix.health`.

    By then most of the frauds are known; the others are allowed for by the growth of older days. Labels of fewer days
    decide sooner on fewer frauds, those of 87 days decide a quarter later.
    """
    days_min: Annotated[int, Meta(ge=2)]
    """Days with labels below which nothing is decided: a week, as weekdays differ, and so that errors are known."""
    days_max: Positive
    """Days with labels after which the comparison ends as not shown: models age, and one that is tried costs."""
    tightest_days: AboveZero
    """Days with labels at which the limits are narrowest; about those that a difference worth having takes."""
    differing_frauds_min: Positive
    """Frauds that only one of both stops, as many of equal weight, below which the verdict is too few to say.

    In addition to `gate.frauds_min`: a difference that rests on a handful of frauds is that of their amounts.
    """
    better: Literal["promote", "tell"]
    """The consequence if the challenger is better: it serves, or the ledger tells it."""
    worse: Literal["drop", "tell"]
    """The consequence if it is worse: its test ends, or the ledger tells it."""
    not_shown: Literal["drop", "tell"]
    """The consequence if neither was shown in `days_max` days."""

    def __post_init__(self) -> None:
        if self.days_max < self.days_min:
            raise ValueError("days_max is below days_min")
