"""Generations of retraining: each learns from the labels that the decisions of those before it have left."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.event import EPOCH, micros
from shared.contract.rows import LedgerRow
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.data.label_chance import DecisionColumns, LabelRates, label_chances, label_weights, unrepresented
from shared.learning.data.split import DAY, Split, require_both_classes, split_in_time
from shared.learning.data.unjudged import Unjudged
from shared.learning.errors import NothingToDo
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.gate import GateVerdict
from shared.learning.judging.review import review
from shared.learning.lifecycle.past import past
from shared.learning.ports import ReportProgress
from shared.learning.training.challenger import train_challengers
from shared.learning.training.packing import sealed, times
from shared.scoring.bundle import Bundle, Manifest
from shared.scoring.rules import Rules
from tests.benchmarks.learning.labels import Labels, all_labels, labels_left
from tests.benchmarks.learning.serving import BUDGET, ControlGroup, Served, served
from tests.benchmarks.learning.truth import Period, period_of, true_saving
from tests.benchmarks.learning.world import LearningWorld
from tests.benchmarks.long_world.world import MATURITY, UNCHECKED

ArmName = Literal["open", "closed", "control"]
ARMS: tuple[ArmName, ...] = ("open", "closed", "control")
"""Open loop: all labels, closed loop: those that decisions leave; closed with a control group."""


class Plan(NamedTuple):
    """Days from the first of a world: of the first training, from one to the next, and the number of trainings."""

    first: float
    every: float
    trainings: int


@dataclass(frozen=True, slots=True)
class Generation:
    """A training and the period that its survivor served: `number` 0 is that on days without a model.

    `labelled` examples had a label, `frauds` among them. `saving` is that of the gate on the test period: on what is
    judged, and on the rest by the incumbent's probabilities. `interval` has its ends, and `true_saving` is by all
    labels from that period on to the end of the world, none of which the challenger has seen: what five weeks happen
    to realise hangs on a few large frauds, and is not what the interval is about. All are in BRL per million Pix,
    None without a verdict.
    """

    number: int
    outcome: str
    labelled: int
    frauds: int
    saving: float | None
    interval: tuple[float, float] | None
    true_saving: float | None
    period: Period

    @property
    def covered(self) -> bool | None:
        """Whether the interval of the gate contains the true saving; None without a verdict."""
        if self.interval is None or self.true_saving is None:
            return None
        return self.interval[0] <= self.true_saving <= self.interval[1]


class Arm:
    """One world, one way to come by labels, and the model that serves."""

    def __init__(self, name: ArmName, world: LearningWorld, rules: Rules, config: Config, plan: Plan) -> None:
        self._name, self._world, self._rules, self._config, self._plan = name, world, rules, config, plan
        self._start = int(world.stream.initiated_at[0])
        self._champion: Bundle | None = None
        self._ledger: list[LedgerRow] = []
        self._control = ControlGroup(BUDGET, b"a secret of a benchmark") if name == "control" else None
        self.served = Served.nothing(len(world))

    def generations(self) -> Iterator[Generation]:
        """Yield the trainings in order."""
        self._serve(0.0, self._plan.first)
        for number in range(self._plan.trainings):
            day = self._plan.first + number * self._plan.every
            yield self._generation(number, day, day + self._plan.every)

    def labels(self) -> Labels:
        """Return the labels of all rows served so far, as they are known at last."""
        return all_labels(self._world) if self._name == "open" else labels_left(self._world, self.served.decided)

    def _generation(self, number: int, day: float, until: float) -> Generation:
        data = self._dataset(day)
        outcome, verdict, saving = "NOTHING_TO_DO", None, None
        with contextlib.suppress(NothingToDo):
            split = split_in_time(data.initiated_at, self._config.split)
            require_both_classes(data.fraud, split, self._config.split.frauds_min)
            verdict, saving = self._train(data, split, number, day)
            outcome = verdict.outcome
        rows = self._serve(day, until)
        return Generation(
            number,
            outcome,
            len(data),
            int(data.fraud.sum()),
            *_stated(verdict),
            saving,
            period_of(self._world, self.served, rows, self._rules, self._config.costs),
        )

    def _train(self, data: Dataset, split: Split, number: int, day: float) -> tuple[GateVerdict, float]:
        """Train and judge a challenger, which serves if it is promoted; return the verdict and the true saving."""
        as_of = EPOCH + dt.timedelta(microseconds=self._start + round(day * DAY))
        trained = train_challengers(data, split, self._rules, self._config, None, _quiet, lambda _: None)
        metrics = times(data, split.train.stop, split.calibration.stop, as_of)
        bundles = [
            Bundle(sealed(one.files, Manifest(f"{self._name}-{number}-{i}", as_of.isoformat(), {}, metrics=metrics)))
            for i, one in enumerate(trained.challengers)
        ]
        unjudged = self._unjudged(int(data.initiated_at[split.test.start]), day)
        period = TestPeriod.of(data, split.test, self._rules, self._config, self._champion, unjudged)
        contenders = list(zip(bundles, (one.average_precision for one in trained.challengers), strict=True))
        known = past(self._ledger, as_of, self._config.gate.record_months, None)
        found = review(period, contenders, self._champion, self._config.gate, known)
        chosen = bundles[found.chosen]
        rows = slice(self._rows(0, int(period.truth.initiated_at.min())).stop, len(self._world))
        saving = true_saving(self._world, rows, chosen, self._champion, self._rules, self._config.costs)
        figures = msgspec.json.encode(chosen.manifest.metrics | found.metrics()).decode()
        self._record("PUBLISH", as_of, chosen, figures)
        if found.verdict.promote:
            self._record("SWAP", as_of, chosen, figures)
            self._champion = chosen
        return found.verdict, saving

    def _record(self, action: str, as_of: dt.datetime, bundle: Bundle, metrics: str) -> None:
        self._ledger.append(LedgerRow(micros(as_of), action, "bench", "", to_version=bundle.version, metrics=metrics))

    def _serve(self, day: float, until: float) -> slice:
        """Decide the rows of some days, and return them."""
        rows = self._rows(self._start + round(day * DAY), self._start + round(until * DAY))
        self.served.keep(rows, served(self._world, rows, self._champion, self._rules, self._control))
        return rows

    def _rows(self, since: int, until: int) -> slice:
        return slice(*np.searchsorted(self._world.stream.initiated_at, [since, until]).tolist())

    def _matured(self, day: float) -> slice:
        return self._rows(0, self._start + round((day - MATURITY) * DAY))

    def _dataset(self, day: float) -> Dataset:
        """Return the labelled examples that have matured on a day, weighted by their chance of a label."""
        stream, labels = self._world.stream, self.labels()
        kept: NDArray[np.intp] = np.flatnonzero(labels.known[self._matured(day)])
        pix = np.arange(len(kept), dtype=np.int32)
        weight = np.ones(len(kept))
        if self._name != "open":
            chance = label_chances(self._decided(kept), pix, LabelRates())
            weight = label_weights(chance, self._config.dataset.label_weight_max)
        return Dataset(
            FEATURE_NAMES,
            np.asfortranarray(stream.features[kept]),
            pix,
            labels.fraud[kept],
            stream.initiated_at[kept],
            stream.amount[kept],
            weight,
            weight,
            {name: fact.take(kept) for name, fact in self._world.facts.items()},
            UNCHECKED,
            "",
        )

    def _unjudged(self, since: int, day: float) -> Unjudged:
        """Return the decisions without a label from a time on that have matured on a day."""
        stream, matured = self._world.stream, self._matured(day)
        unknown = ~self.labels().known & (stream.initiated_at >= since)
        rows: NDArray[np.intp] = np.flatnonzero(unknown[matured])
        pix, spec = np.arange(len(rows), dtype=np.int32), self._config.dataset
        weight = unrepresented(self._decided(rows), pix, LabelRates(), spec.label_weight_max)
        facts = (stream.initiated_at[rows], stream.amount[rows], self.served.scores[rows], weight)
        found = Unjudged(FEATURE_NAMES, stream.features[rows], *facts)
        return found.at(weight > 0)

    def _decided(self, rows: NDArray[np.intp]) -> DecisionColumns:
        """Return how rows were decided; every hold is reviewed, so the shares of those with a label are 1."""
        policy, drawn = self.served.policy[rows], self.served.policy[rows] != self.served.decided[rows]
        return DecisionColumns(
            policy, drawn, np.nan_to_num(self.served.chance[rows]), np.zeros(len(rows), dtype=bool)
        )


def _stated(verdict: GateVerdict | None) -> tuple[float | None, tuple[float, float] | None]:
    """Return the saving that a verdict states for all rows, and the ends of its interval."""
    if verdict is None or verdict.overall is None:
        return None, None
    return verdict.overall.value, (verdict.overall.interval.low, verdict.overall.interval.high)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[ReportProgress]:  # noqa: ARG001
    yield lambda *_: None
