"""Judge any version on a past period: its decisions there, and their cost, by the measures of the gate."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from shared.contract.event import EPOCH, micros
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.errors import NothingToDo
from shared.learning.judging.bootstrap import Interval
from shared.learning.judging.card import figures_of, rendered
from shared.learning.judging.comparison import Contender, TestPeriod
from shared.learning.judging.review import flat
from shared.learning.judging.saving import measure_saving
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules


class Judged(Struct, frozen=True):
    """The figures of one contender, the ends of their intervals, and its cost in BRL of all Pix of the period."""

    name: str
    cost: float
    figures: dict[str, float]
    intervals: dict[str, Interval]


class SavedAgainst(Struct, frozen=True):
    """The saving of the version over another contender by the labels, in BRL per million Pix, and its interval."""

    name: str
    saving: float
    interval: Interval


class Backtest(Struct, frozen=True):
    """A version on the matured, labelled Pix from `first_at` to `last_at`, beside the champion and the rules alone.

    `pix` is the number of decisions that the `rows` stand for. `notice` says which rows were left out because the
    version was trained on them, or which stayed although it was.
    """

    version: str
    first_at: dt.datetime
    last_at: dt.datetime
    rows: int
    frauds: int
    pix: float
    confidence: float
    notice: str
    contenders: list[Judged]
    savings: list[SavedAgainst]


class BacktestReport(NamedTuple):
    """A back-test, and its page as HTML."""

    backtest: Backtest
    page: bytes


def backtest(
    data: Dataset,
    since: dt.datetime | None,
    until: dt.datetime | None,
    bundle: Bundle,
    champion: Bundle | None,
    rules: Rules,
    config: Config,
) -> BacktestReport:
    """Return the report on the examples initiated from `since` to before `until`; None is no limit.

    Rows that the version was trained on would favour it, so they are left out where enough others remain. Raises
    NothingToDo without a fraud or without a legitimate Pix.
    """
    rows = _rows(data, since, until)
    frauds = int(data.fraud[rows].sum())
    if not 0 < frauds < rows.stop - rows.start:
        raise NothingToDo(f"{rows.stop - rows.start:,} labelled Pix with {frauds:,} frauds in the period: no costs")
    period = TestPeriod.of(data, rows, rules, config, bundle)
    others = [period.model(champion)] if champion and champion.version != bundle.version else []
    contenders = [period.model(bundle), *others, period.rules()]
    found = _backtest(contenders, period)
    page = rendered("backtest.html.j2", found=found, figures=figures_of(contenders), costs=config.costs)
    return BacktestReport(found, page)


def _backtest(contenders: list[Contender], period: TestPeriod) -> Backtest:
    truth, own = period.truth, contenders[0]
    return Backtest(
        own.name,
        _moment(int(truth.initiated_at.min())),
        _moment(int(truth.initiated_at.max())),
        len(truth.fraud),
        int(truth.fraud.sum()),
        float(period.weight.sum()),
        period.confidence,
        period.notice,
        [_judged(one, period) for one in contenders],
        [_saved(own, other, period) for other in contenders[1:]],
    )


def _judged(contender: Contender, period: TestPeriod) -> Judged:
    cost = float(contender.scored.costs @ period.weight)
    intervals = {name: one for name, one in contender.intervals.items() if np.isfinite([one.low, one.high]).all()}
    return Judged(contender.name, cost, flat(contender), intervals)


def _saved(own: Contender, other: Contender, period: TestPeriod) -> SavedAgainst:
    found = measure_saving(own, other, period).realised
    return SavedAgainst(other.name, found.value, found.interval(period.confidence))


def _rows(data: Dataset, since: dt.datetime | None, until: dt.datetime | None) -> slice:
    """Return the rows of a period; those of the data set are in order of time."""
    first = 0 if since is None else int(np.searchsorted(data.initiated_at, micros(since)))
    end = len(data) if until is None else int(np.searchsorted(data.initiated_at, micros(until)))
    return slice(first, max(first, end))


def _moment(at: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=at)
