"""Quality checks of a training set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning.data.profile import ColumnProfile, Profile
from shared.learning.errors import BadDataset
from tests.unit.learning.data.tables import changed, put, read
from tests.unit.learning.synthetic import AS_OF, examples

Change = Callable[[pa.Table], pa.Table]


def _repeated(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(3, 1)])


def _of(name: str, value: object) -> Change:
    return lambda table: changed(table, name, 5, value)


def _without(*names: str) -> Change:
    return lambda table: table.drop_columns(list(names))


def _as_text(name: str) -> Change:
    return lambda table: put(table, name, pc.cast(table[name], pa.string()).combine_chunks())


FLAG = next(feature.name for feature in FEATURES if feature.unit == "flag")
COUNT = next(feature.name for feature in FEATURES if feature.unit == "count")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_repeated, "duplicates: 1 rows"),
        (_of("amount", -1.0), "amounts: 1 amounts"),
        (_of("amount", None), "amounts: 1 amounts"),
        (_of("amount", np.inf), "amounts: 1 amounts"),
        (_of("verdict", "PENDING"), "classes: .* 1 neither"),
        (_of("verdict", None), "classes: .* 1 neither"),
        (_of("end_to_end_id", None), "keys: 1 rows"),
        (_of("initiated_at", None), "keys: 1 rows"),
        (_of("initiated_at", AS_OF + dt.timedelta(seconds=1)), "time: 1 rows"),
        (_of(FEATURE_PREFIX + "amount", np.inf), "finite: 1 features .* amount"),
        (_of(FEATURE_PREFIX + "amount", -np.inf), "finite: 1 features .* amount"),
        (_of(FEATURE_PREFIX + FLAG, 1.5), rf"ranges: 1 features .* {FLAG} \(flag\)"),
        (_of(FEATURE_PREFIX + COUNT, -1.0), rf"ranges: 1 features .* {COUNT} \(count\)"),
        (_without(FEATURE_PREFIX + "amount", "payer_ispb"), "columns: 2 columns .* payer_ispb, f_amount"),
        (_as_text(FEATURE_PREFIX + "amount"), "types: 1 columns .* f_amount is not a number"),
    ],
)
def test_defective_training_set_is_refused(spoil: Change, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=message):
        read(spoil(examples(120)), tmp_path)


def test_error_lists_every_failed_check_and_no_ids(tmp_path: Path) -> None:
    table = _of("amount", -1.0)(_of(FEATURE_PREFIX + FLAG, 7.0)(_repeated(examples(120))))
    with pytest.raises(BadDataset) as refused:
        read(table, tmp_path)
    found = str(refused.value)
    assert [line.partition(":")[0] for line in found.splitlines()[1:]] == ["- duplicates", "- amounts", "- ranges"]
    assert "E12345678" not in found


def test_implausible_share_of_frauds_is_refused_from_a_hundred_rows(tmp_path: Path) -> None:
    table = examples(400)
    with pytest.raises(BadDataset, match=r"frauds: 100\.000% of Pix"):
        read(put(table, "verdict", ["FRAUD"] * 400), tmp_path / "many")
    few = examples(50)
    assert read(put(few, "verdict", ["FRAUD"] * 50), tmp_path / "few").quality.fraud_share == 1.0


def test_feature_missing_more_often_than_for_the_champion_is_refused(tmp_path: Path) -> None:
    described = ColumnProfile(0.1, [], [])
    usual = Profile(dict.fromkeys(FEATURE_NAMES[:20], described), described)
    table = examples(400)
    assert read(table, tmp_path / "as-usual", profile=usual).quality.missing["amount"] == pytest.approx(0.1, abs=0.05)
    gone = put(table, FEATURE_PREFIX + FEATURE_NAMES[3], pa.nulls(400, pa.float64()))
    with pytest.raises(BadDataset, match=f"missing: 1 of 20 .* {FEATURE_NAMES[3]} 10% -> 100%"):
        read(gone, tmp_path / "gone", profile=usual)
    assert read(gone, tmp_path / "no-champion").quality.missing[FEATURE_NAMES[3]] == 1.0


def test_report_keeps_all_checks(tmp_path: Path) -> None:
    quality = read(examples(400), tmp_path).quality
    assert quality.rows == 400
    assert all(check.passed for check in quality.checks)
    assert {"classes", "duplicates", "time", "amounts", "ranges", "frauds", "missing"} <= {
        check.name for check in quality.checks
    }
