"""The test of a challenger on live traffic, as the pointer names it: in the shadow, or for a share of accounts.

In the shadow (SHADOW) the challenger scores every Pix beside the champion, and decides none. With a share (SHARE) it
decides the Pix of some paying accounts, and goes on scoring those of the others.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.scoring.bundle_files import VERSION

Mode = Literal["SHADOW", "SHARE"]
ChallengeAction = Literal["CHALLENGE_SHADOW", "CHALLENGE_SHARE", "CHALLENGE_TRIPPED", "CHALLENGE_STOP"]
"""Steps of a test in the ledger: it began or went on in a mode, a guard ended it, or anything else did."""
CHAMPION, CHALLENGER = ARMS = ("CHAMPION", "CHALLENGER")
"""Arms of a test: the version that was drawn to decide for an account."""


class Challenge(Struct, frozen=True):
    """A test of `version` against the version that serves; times are in ISO 8601."""

    version: Annotated[str, Meta(pattern=VERSION)]
    """The challenger; its name is also the salt of the draw, so an account stays in its arm while the share grows."""
    mode: Mode
    started_at: str
    """Start of the test: the first step in the shadow or with a share."""
    changed_at: str
    """Start of this mode and share."""
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """Share of paying accounts that the challenger decides for; 0 in the shadow."""
    ramp: bool = False
    """Whether the share grows by the schedule of ramps, as long as no guard trips."""
    before: dict[str, int] = {}
    """Counts of the champion's decisions in the last stage of a ramp in which it decided, for later guards."""

    def __post_init__(self) -> None:
        if (self.mode == "SHADOW") != (self.share == 0.0):
            raise ValueError("a challenger has a share of accounts unless it is in the shadow")


class ChallengeMove(Struct, frozen=True):
    """A step of a test: all that its row in the ledger needs."""

    action: ChallengeAction
    at: str
    """In ISO 8601."""
    champion: str
    challenger: str
    actor: str = "unknown"
    reason: str = ""
    figures: dict[str, float] = {}
    """Share of accounts from this step on, and the measures of the guards where they were read."""
