"""What was found out about a training set before anything is learnt from it."""

from __future__ import annotations

from msgspec import Struct


class Check(Struct, frozen=True):
    """One thing that was looked at: whether it is as it should be, and a sentence with the figures."""

    name: str
    passed: bool
    text: str


class Quality(Struct, frozen=True):
    """What a training set is like; no single Pix can be told from it.

    `fraud_share` is the share of frauds among the Pix that the rows stand for, `sampled` the share of legitimate Pix
    that were taken. `first_at` and `last_at` are the times of the first and last Pix in microseconds, None if there
    is none. `missing` is the share of rows without a value, for each feature.
    """

    rows: int
    frauds: int
    fraud_share: float
    sampled: float
    first_at: int | None
    last_at: int | None
    missing: dict[str, float]
    checks: list[Check]
