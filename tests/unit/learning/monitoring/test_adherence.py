"""A new base against the one of the champion's training."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.learning.data.profile import Profile
from shared.learning.monitoring.adherence import Adherence, adherence, read_base
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules
from tests.unit.learning.bundles import NAMES, small_bundle
from tests.unit.learning.synthetic import CONFIG

ROWS = 4_000
TRAINED = {"log_loss": 0.5, "f1": 0.7, "frauds": 50.0, "pix": 100.0}


def base(shift: float = 0.0, flipped: float = 0.0) -> pa.Table:
    """Return rows whose verdicts are drawn by the scores; a share of them is turned around."""
    rng = np.random.default_rng(1)
    values = rng.normal(shift, 1.0, (ROWS, len(NAMES)))
    fraud = rng.random(ROWS) < 1 / (1 + np.exp(-values.sum(axis=1)))
    fraud ^= rng.random(ROWS) < flipped
    columns = {FEATURE_PREFIX + name: values[:, j] for j, name in enumerate(NAMES)}
    return pa.table(columns | {"verdict": np.where(fraud, "FRAUD", "LEGITIMATE").tolist()})


def judged(table: pa.Table, folder: Path) -> Adherence:
    pq.write_table(table, folder / "base.parquet")
    files = small_bundle("v1", metrics=TRAINED)
    bundle, profile = Bundle(files), msgspec.json.decode(files["profile.json"], type=Profile)
    read = read_base(folder / "base.parquet", bundle.feature_names)
    return adherence(read, bundle, profile, Rules([]), CONFIG.drift)


def test_a_base_like_that_of_training_adheres(tmp_path: Path) -> None:
    found = judged(base(), tmp_path)
    assert (found.outcome, found.reasons, found.rows) == ("ADHERES", [], ROWS)
    assert found.labelled is not None
    assert (
        found.labelled.log_loss.interval.low < found.labelled.log_loss.value < found.labelled.log_loss.interval.high
    )
    assert found.labelled.f1.value == pytest.approx(0.75, abs=0.05)
    assert found.labelled.trained_fraud_share == 0.5


def test_a_base_whose_inputs_moved_departs_without_labels(tmp_path: Path) -> None:
    found = judged(base(shift=1.5).drop_columns(["verdict"]), tmp_path)
    assert (found.outcome, found.labelled) == ("DEPARTS", None)
    assert found.score_psi > 0.25
    assert min(found.inputs.values()) > 0.5


def test_a_base_whose_frauds_the_model_does_not_know_departs_by_its_labels(tmp_path: Path) -> None:
    found = judged(base(flipped=0.4), tmp_path)
    assert found.outcome == "DEPARTS"
    assert [reason.split()[0] for reason in found.reasons] == ["log", "F1"]


def test_a_csv_is_read_as_well(tmp_path: Path) -> None:
    pc.write_csv(base(), tmp_path / "base.csv")
    assert read_base(tmp_path / "base.csv", list(NAMES)).features.shape[0] == ROWS


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"f_amount": [1.0]}), "no column f_amount_log"),
        (base().slice(0, 0), "no rows"),
        (base().slice(0, 1).set_column(3, "verdict", [["PENDING"]]), "1 rows have a verdict"),
        (base().slice(0, 1).set_column(0, "f_amount", [["x"]]), "f_amount has something else"),
    ],
)
def test_a_file_that_is_no_base_is_refused(table: pa.Table, words: str, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "base.parquet")
    with pytest.raises(Misconfigured, match=words):
        read_base(tmp_path / "base.parquet", list(NAMES))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_base(tmp_path / "none.parquet", list(NAMES))
