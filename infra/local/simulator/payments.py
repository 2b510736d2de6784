"""The columnar table of payments to which every behaviour adds rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from infra.local.simulator.arrays import Flags, Ints

NO_DEVICE = -1
NO_EPISODE = -1
UNDRAWN = -1
NO_LINK = -1


@dataclass(frozen=True)
class Payments:
    """Payments, one row each; all columns are of shape (n,).

    `at` is UTC milliseconds, `payer` and `payee` are rows of the world's accounts, `cents` is the amount,
    `device` a row of the world's devices or NO_DEVICE, `episode` joins the payments of one fraud, `fate` is a code of
    `fates.Fate` or UNDRAWN. `link` numbers the payments of stolen money, and `source` is the link of the payment
    whose money one passes on; both may be NO_LINK.
    """

    at: Ints
    payer: Ints
    payee: Ints
    cents: Ints
    form: Ints
    purpose: Ints
    device: Ints
    kind: Ints
    episode: Ints
    fate: Ints
    link: Ints
    source: Ints

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Ints | Flags) -> Payments:
        """Keep the rows that a mask or an index selects."""
        return Payments(*(getattr(self, field.name)[rows] for field in fields(self)))

    def in_time_order(self) -> Payments:
        """Sort by time; rows of the same millisecond keep their order."""
        return self.take(np.argsort(self.at, kind="stable"))


def payments(
    at: ArrayLike,
    payer: ArrayLike,
    payee: ArrayLike,
    cents: ArrayLike,
    form: ArrayLike,
    kind: ArrayLike,
    device: ArrayLike = NO_DEVICE,
    purpose: ArrayLike = 0,
    episode: ArrayLike = NO_EPISODE,
    fate: ArrayLike = UNDRAWN,
    link: ArrayLike = NO_LINK,
    source: ArrayLike = NO_LINK,
) -> Payments:
    """Make a table; scalars are broadcast to every row."""
    given = (at, payer, payee, cents, form, purpose, device, kind, episode, fate, link, source)
    columns = np.broadcast_arrays(*(np.asarray(column, dtype=np.int64) for column in given))
    return Payments(*(np.atleast_1d(column).copy() for column in columns))


def together(parts: Iterable[Payments]) -> Payments:
    """Stack tables."""
    tables = [NOTHING, *parts]
    return Payments(*(np.concatenate([getattr(t, field.name) for t in tables]) for field in fields(Payments)))


NOTHING = payments([], [], [], [], [], [])
