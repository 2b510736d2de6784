"""Incremental update: continue the champion's model on the rows since its training."""

from __future__ import annotations

import io
import logging
import math
import pickle
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import joblib
import msgspec
import numpy as np
from sklearn.exceptions import InconsistentVersionWarning

from shared.learning.config import LEGITIMATE_PER_FRAUD, Config, ModelFamily
from shared.learning.data.dataset import Dataset
from shared.learning.errors import CannotContinue, FitFailed
from shared.learning.training.families import FAMILIES, family_of
from shared.learning.training.packing import TRAINED_UNTIL
from shared.learning.training.train import Drawn, Fitted, deterministic_fit, drawn_rows, labelled_rows
from shared.ports import Blobs
from shared.scoring.bundle import MANIFEST, Manifest, digest, path

log = logging.getLogger(__name__)

# Errors of unpickling a model whose classes have moved, changed or gone. Damaged bytes are found by their SHA-256.
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, ImportError, InconsistentVersionWarning),
    *(IndexError, KeyError, TypeError, ValueError),
)


class ChampionModel(NamedTuple):
    """The champion's model: the names of its inputs, and the time of its last training row in microseconds."""

    version: str
    names: Sequence[str]
    model: Any
    family: ModelFamily
    trained_until: int


def read_champion_model(blobs: Blobs, version: str, known: Sequence[str]) -> ChampionModel | None:
    """Return a bundle's model, or None with the reason in the log; `known` are the features of the catalogue.

    It unpickles the model, so only jobs may have write access to the bucket. Raises Unavailable.
    """
    try:
        return _read(blobs, version, known)
    except CannotContinue as reason:
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
    drawn = rows_to_continue_on(data, period, champion, config).after(period.start)
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
    manifest = msgspec.json.decode(_file(blobs, version, MANIFEST), type=Manifest)
    if TRAINED_UNTIL not in manifest.metrics:
        raise CannotContinue(f"its manifest lacks {TRAINED_UNTIL}")
    files = {name: _verified(blobs, manifest, name) for name in ("features.json", "model.joblib")}
    names = msgspec.json.decode(files["features.json"], type=list[str])
    if unknown := sorted(set(names) - set(known)):
        raise CannotContinue(f"{len(unknown)} of its features are not in the catalogue: {unknown[:5]}")
    model, family = _unpickled(files["model.joblib"])
    return ChampionModel(version, names, model, family, round(manifest.metrics[TRAINED_UNTIL] * 1e6))


def _unpickled(data: bytes) -> tuple[Any, ModelFamily]:
    """Return a model and its family. Raises CannotContinue, also for a model of another scikit-learn version.

    Continuing a model relies on scikit-learn's private attributes, which change between versions.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = joblib.load(io.BytesIO(data))
        return model, family_of(model)
    except _UNREADABLE as error:
        raise CannotContinue(f"model.joblib does not load ({type(error).__name__})") from error


def _verified(blobs: Blobs, manifest: Manifest, name: str) -> bytes:
    data = _file(blobs, manifest.version, name)
    if manifest.files.get(name) != digest(data):
        raise CannotContinue(f"{name} does not match its SHA-256 in the manifest")
    return data


def _file(blobs: Blobs, version: str, name: str) -> bytes:
    blob = blobs.read(path(version, name))
    if blob is None:
        raise CannotContinue(f"{name} is missing")
    return blob.data
