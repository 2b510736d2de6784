"""Measure whether the champion still ranks frauds as its card says, on the days that have matured since.

The card is of the test period of the champion's training. Pix initiated after it, once matured, are rows that neither
the fit behind the champion nor any choice has seen; drift of the score only hints at a fall there. It is a
fall if both intervals lie apart, so that neither the few frauds of the new days nor the luck of the old ones make
one. The share of frauds may differ: the lower end on the card is restated at that of the new days (`record`).
"""

from __future__ import annotations

import datetime as dt
import logging

import msgspec
from msgspec import Struct

from shared.contract.event import EPOCH
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data import dataset
from shared.learning.data.dataset import Dataset, TrainingSource
from shared.learning.errors import BadDataset
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.record import average_precision_at
from shared.learning.judging.review import LOOK_UNTIL
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

_DAY = dt.timedelta(days=1)


class MaturedPerformance(Struct, frozen=True):
    """The average precision of `version` on newly matured days, and the one expected by its card.

    `low` and `high` are the ends of its interval, `expected` is the lower end on the card at the new share of frauds,
    `frauds` the number of those among the new days.
    """

    version: str
    since: dt.datetime
    frauds: int
    average_precision: float
    low: float
    high: float
    expected: float

    @property
    def has_fallen(self) -> bool:
        """Whether the interval lies below that of the card."""
        return self.high < self.expected

    def reason(self) -> str:
        """Return a sentence for the ledger."""
        return (
            f"average precision of {self.version} on Pix since {self.since:%Y-%m-%d} is {self.average_precision:.3f} "
            f"({self.low:.3f} to {self.high:.3f}, {self.frauds:,} frauds), its card has at least {self.expected:.3f}"
        )


def matured_performance(
    source: TrainingSource, as_of: dt.datetime, champion: Bundle, rules: Rules, config: Config
) -> MaturedPerformance | None:
    """Return the performance on the days matured since the champion's card; None if it has none, or too few frauds.

    Rows that cannot be read as a training set are left to the training, which says why. Raises Unavailable,
    Misconfigured.
    """
    card = champion.manifest.metrics
    if not card.keys() >= {LOOK_UNTIL, "average_precision_low", "frauds", "pix"}:
        return None
    since = EPOCH + dt.timedelta(seconds=card[LOOK_UNTIL])
    days = (as_of - since) / _DAY - source.maturity_days
    if days <= 0:
        return None
    spec = msgspec.structs.replace(config.dataset, window_days=days)
    try:
        data = dataset.read(source, as_of, FEATURE_NAMES, spec, None)
    except BadDataset as error:
        log.warning("matured performance not measured", extra={"fields": {"reason": str(error)}})
        return None
    return measured_on(data, since, champion, rules, config)


def measured_on(
    data: Dataset, since: dt.datetime, champion: Bundle, rules: Rules, config: Config
) -> MaturedPerformance | None:
    """Return the performance on the examples after `since`, None if their frauds are too few for a verdict."""
    first = int(data.initiated_at.searchsorted(round(since.timestamp() * 1e6), side="right"))
    rows = slice(first, len(data))
    frauds = int(data.fraud[rows].sum())
    if min(frauds, rows.stop - rows.start - frauds) < config.gate.frauds_min:
        return None
    found = TestPeriod.of(data, rows, rules, config).model(champion)
    card, figures = champion.manifest.metrics, found.evaluation
    shares = card["frauds"] / card["pix"], figures.frauds / figures.pix
    interval = found.intervals["average_precision"]
    expected = average_precision_at(card["average_precision_low"], *shares)
    return MaturedPerformance(
        champion.version, since, frauds, figures.average_precision, interval.low, interval.high, expected
    )
