"""Incremental update: continue the champion's model on the rows since its training."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from shared.errors import BundleRefused
from shared.learning.config import Config
from shared.learning.data.dataset import Dataset
from shared.learning.errors import CannotContinue, FitFailed
from shared.learning.specs.search import LEGITIMATE_PER_FRAUD, ModelFamily
from shared.learning.training.amounts import amount_factors
from shared.learning.training.families import FAMILIES, family_of
from shared.learning.training.model_file import NAME, read_model
from shared.learning.training.packing import TRAINED_UNTIL
from shared.learning.training.train import Drawn, Fitted, deterministic_fit, drawn_rows, labelled_rows
from shared.ports.blobs import Blobs
from shared.scoring.verified_file import read_manifest, verified_file

log = logging.getLogger(__name__)


class ChampionModel(NamedTuple):
    """The champion's model: the names of its inputs, and the time of its last training row in microseconds."""

    version: str
    names: Sequence[str]
    model: Any
    family: ModelFamily
    trained_until: int


def read_champion_model(blobs: Blobs, version: str, known: Sequence[str]) -> ChampionModel | None:
    """Return a bundle's model, or None with the reason in the log; `known` are the features of the catalogue.

    Nothing is unpickled (`shared.learning.training.model_file`). Raises Unavailable.
    """
    try:
        return _read(blobs, version, known)
    except (BundleRefused, CannotContinue) as reason:
        log.warning("champion cannot be continued", extra={"fields": {"version": version, "reason": str(reason)}})
        return None


def continue_training(champion: ChampionModel, data: Dataset, config: Config, period: slice) -> Fitted:
    """Return the model after an update on the rows of a period. Raises CannotContinue."""
    trainer = FAMILIES[champion.family]
    if trainer.continue_training is None:
        raise CannotContinue("its family can only be trained in full")
    # A family whose models do not grow has size 0 and size_max 0, so its limit is the rounds themselves.
    if trainer.size(champion.model) + config.incremental_rounds > max(trainer.size_max, config.incremental_rounds):
        raise CannotContinue(f"it has grown to {trainer.size(champion.model)} already, and would serve slowly")
    columns = np.array([data.names.index(name) for name in champion.names], dtype=np.intp)
    factors = amount_factors(data.amount[period], data.fraud[period], config.fraud_amount_power)
    drawn = rows_to_continue_on(data, period, champion, config).times(factors).after(period.start)
    train = labelled_rows(data.take(drawn.rows, columns), data.fraud[drawn.rows], drawn)
    try:
        with deterministic_fit():
            model = trainer.continue_training(champion.model, *train, config.incremental_rounds)
    except FitFailed as error:
        raise CannotContinue(str(error)) from error
    return Fitted(model, columns, drawn.rows)


def rows_to_continue_on(data: Dataset, period: slice, champion: ChampionModel, config: Config) -> Drawn:
    """Return the new rows of a period, whose indexes count from its start, and as many older ones.

    Both are drawn as for the champion's full training: another share of frauds would shift all its scores. The older
    rows are rehearsal: they keep the model from forgetting frauds that are absent from the new ones.
    Source: Robins, Catastrophic Forgetting, Rehearsal and Pseudorehearsal, Connection Science, 1995.
    Raises CannotContinue if fewer than `split.frauds_min` of the new rows are frauds.
    """
    share = getattr(champion.model, LEGITIMATE_PER_FRAUD, math.inf)
    at, fraud = data.initiated_at[period], data.fraud[period]
    drawn = drawn_rows(at, fraud, share, config.seed, data.label_weight[period])
    new = at[drawn.rows] > champion.trained_until
    frauds = int(fraud[drawn.rows[new]].sum())
    if frauds < config.split.frauds_min:
        raise CannotContinue(f"{frauds} frauds are new, fewer than {config.split.frauds_min}")
    older = np.flatnonzero(~new)
    rehearsed = np.random.default_rng(config.seed).choice(older, min(len(older), int(new.sum())), replace=False)
    return drawn.at(np.sort(np.concatenate([np.flatnonzero(new), rehearsed])))


def _read(blobs: Blobs, version: str, known: Sequence[str]) -> ChampionModel:
    manifest = read_manifest(blobs, version)
    if TRAINED_UNTIL not in manifest.metrics:
        raise CannotContinue(f"its manifest lacks {TRAINED_UNTIL}")
    names = msgspec.json.decode(verified_file(blobs, version, "features.json"), type=list[str])
    if unknown := sorted(set(names) - set(known)):
        raise CannotContinue(f"{len(unknown)} of its features are not in the catalogue: {unknown[:5]}")
    model = read_model(verified_file(blobs, version, NAME))
    return ChampionModel(version, names, model, _family(model), round(manifest.metrics[TRAINED_UNTIL] * 1e6))


def _family(model: Any) -> ModelFamily:
    try:
        return family_of(model)
    except KeyError as error:
        raise CannotContinue(f"{NAME} has a model of no family") from error
