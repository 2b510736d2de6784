"""Settings of a retraining, read from `jobs/config.yaml`.

A docstring under each field gives its meaning, its unit and the reason for its bounds and its value as shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from shared import yaml_file
from shared.errors import Misconfigured
from shared.learning.specs.bounds import Positive, Share
from shared.learning.specs.contest import ContestSpec
from shared.learning.specs.data import DatasetSpec, SplitSpec, TriggerSpec
from shared.learning.specs.drift import DriftSpec
from shared.learning.specs.gate import ComparisonSpec, GateSpec, RefitSpec, SideCosts, SuspicionSpec
from shared.learning.specs.probation import ProbationSpec
from shared.learning.specs.ramp import RampSpec
from shared.learning.specs.search import AllRowsCandidate, CandidateSpec, SearchSpec

_LARGEST = 1e12  # a number of a configuration: no cost in BRL, no count and no time comes near
TrainingMode = Literal["full", "incremental"]
CalibrationMethod = Literal["isotonic", "sigmoid"]


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """The bundles to retain beside those in the pointer: the last `keep`, and those in the ledger of `days`."""

    keep: Annotated[int, Meta(ge=0)] = 10
    """Complete bundles, the newest ones: some weeks of retraining."""
    days: Annotated[float, Meta(ge=0.0)] = 365.0
    """Days for which a bundle that the ledger names can be promoted again."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a retraining."""

    trigger: TriggerSpec
    """When a scheduled run trains."""
    dataset: DatasetSpec
    """Size and limits of the training set."""
    split: SplitSpec
    """Periods of the training set."""
    candidates: Annotated[list[CandidateSpec], Meta(min_length=1)]
    """Models to try, with different names."""
    fraud_amount_power: Annotated[float, Meta(ge=0.0, le=1.0)]
    """Power of its amount by which a fraud weighs in a fit: 0 counts frauds, 1 the money that they take."""
    search: SearchSpec
    """How their parameters are searched."""
    modes: Annotated[list[TrainingMode], Meta(min_length=1)]
    """Ways to train, one challenger each: `full` from scratch, `incremental` from the champion's model."""
    incremental_rounds: Positive
    """Rounds of an incremental update: boosting rounds, trees, solver iterations, or most epochs, by family."""
    calibrations: Annotated[list[CalibrationMethod], Meta(min_length=1)]
    """Calibration methods; the better one on the calibration period is used."""
    costs: SideCosts
    """Costs of decisions by side, for thresholds and the gate."""
    alert_share: Share
    """Share of all Pix, highest scores first, at which reported precision and recall are taken."""
    gate: GateSpec
    """Conditions of a promotion."""
    suspicion: SuspicionSpec
    """When a promotion waits for a person, as a feature may be a label."""
    comparison: ComparisonSpec
    """When a promotion waits for a person, as features may not have been served as a replay computes them."""
    drift: DriftSpec
    """When the score or a feature has drifted, for `jobs.drift`."""
    probation: ProbationSpec
    """The limits of a model right after it begins to serve, for `jobs.probation`."""
    contest: ContestSpec
    """When a challenger that is tried on live traffic is better or worse, for `jobs.compare`."""
    refit: RefitSpec
    """Conditions for the refit of an approved challenger to serve in its place."""
    ramp: RampSpec
    """Steps and guards of tests on live traffic, for `jobs.challenge`."""
    all_rows: list[AllRowsCandidate] = []
    """Candidates of `--engine spark` beside `candidates`: not searched, but compared with the best of those on the
    calibration period."""
    retention: Retention = Retention()
    """Bundles that stay; a retraining lists the others in the pointer, and `jobs.retire` deletes those listed."""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """Seed of every random choice, so that a run can be repeated; scikit-learn takes 32 bits."""

    def __post_init__(self) -> None:
        names = [*(one.name for one in self.candidates), *(one.name for one in self.all_rows)]
        if len(set(names)) < len(names):
            raise ValueError("two candidates have the same name")
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("modes names one of them twice")


def load(path: Path) -> Config:
    """Return the configuration in a YAML file. Raises Misconfigured."""
    try:
        tree = yaml_file.read(path)
        if wild := [(name, value) for name, value in _numbers(tree) if not abs(value) <= _LARGEST]:
            raise Misconfigured(f"{path}: {wild[0][0]} is {wild[0][1]}; no number may be above {_LARGEST:.0e}")
        return msgspec.convert(tree, Config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error


def _numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers in nested mappings and lists, each with its dotted name."""
    if isinstance(tree, int | float):
        yield name, tree
    elif isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
