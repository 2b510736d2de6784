"""Settings of the tests of challengers on live traffic: the steps of a ramp, and its guards."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct

_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Ratio = Annotated[float, Meta(gt=0.0)]


class StageSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A step of a ramp."""

    share: Annotated[float, Meta(gt=0.0, le=1.0)]
    """Share of paying accounts that the challenger decides for."""
    hours: Annotated[float, Meta(ge=0.0)]
    """Hours after which the next step may begin; the last step has none."""


class GuardSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """When a test ends by itself: the limits on its rows."""

    level: Annotated[float, Meta(gt=0.0, lt=1.0)]
    """Chance by which one look at an arm that is just at its limit ends the test; there are 1,440 looks a day."""
    pix_min: Annotated[int, Meta(ge=1)]
    """Pix of the test below which a share without a reference is not judged."""
    stopped_ratio_max: _Ratio
    """Largest ratio of the shares held, and of those rejected, to the champion's."""
    stopped_ratio_min: _Share
    """Least ratio of the same: a challenger that lets everything pass has few holds."""
    degraded_ratio_max: _Ratio
    """Largest ratio of the shares decided without model or history."""
    reported_ratio_max: _Ratio
    """Largest ratio of the shares with an early report, and of those with a complaint of the customer."""
    unscored_max: _Share
    """Share of the Pix that the challenger may fail to score."""
    slow_ms: Annotated[int, Meta(ge=1)]
    """Milliseconds from publishing to deciding above which a Pix is slow."""
    slow_max: _Share
    """Share of slow Pix; arms share their batches, so it is that of both."""


class RampSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """The schedule of `jobs.challenge --ramp`, and the guards of every test."""

    stages: Annotated[list[StageSpec], Meta(min_length=1)]
    """Steps in order; the share grows from each to the next."""
    pix_min: Annotated[int, Meta(ge=1)]
    """Pix that the challenger has to decide in a step before the next one begins."""
    guards: GuardSpec
    """When a test ends by itself."""

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        if any(one >= other for one, other in pairwise(shares)):
            raise ValueError("the shares of the stages do not grow")
