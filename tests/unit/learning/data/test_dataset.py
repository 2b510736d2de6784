from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.adapters.memory.learning import MemoryExports, MemoryQueries
from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning.data import dataset
from shared.learning.data.dataset import Dataset, TrainingSource, read_parquet
from shared.learning.data.profile import ColumnProfile, Profile
from shared.learning.data.training_query import FACTS, TrainingQuery
from shared.learning.errors import BadDataset
from tests.unit.learning.synthetic import AS_OF, CONFIG, START, examples

LATEST = micros(AS_OF)
SPEC = CONFIG.dataset


def read(
    table: pa.Table,
    folder: Path,
    parts: int = 1,
    until: int = LATEST,
    sampled: float = 1.0,
    profile: Profile | None = None,
) -> Dataset:
    folder.mkdir(exist_ok=True)
    files = MemoryExports(table, parts).export("", folder)
    return read_parquet(files, FEATURE_NAMES, until, sampled, SPEC, profile)


def put(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def changed(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    return put(table, name, [*table[name][:row].to_pylist(), value, *table[name][row + 1 :].to_pylist()])


def test_rows_are_in_order_of_time_and_null_is_nan(tmp_path) -> None:
    table = examples(500)
    data = read(table, tmp_path)
    expected = table.sort_by("initiated_at").to_pandas()
    assert np.all(np.diff(data.initiated_at) >= 0)
    assert data.features.dtype == np.float32
    assert data.features.flags.f_contiguous
    columns = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    np.testing.assert_array_equal(data.features, expected[columns].to_numpy(np.float32))
    np.testing.assert_array_equal(data.fraud, expected["verdict"] == "FRAUD")
    np.testing.assert_array_equal(data.amount, expected["amount"])
    for name in FACTS:
        fact = data.facts[name]
        assert [fact.values[code] for code in fact.codes] == expected[name].fillna("").tolist()


def test_rows_of_the_same_time_are_in_order_of_id(tmp_path) -> None:
    table = examples(200)
    table = put(table, "initiated_at", pa.array([table["initiated_at"][0]] * 200, table["initiated_at"].type))
    np.testing.assert_array_equal(read(table, tmp_path).amount, table.sort_by("end_to_end_id")["amount"])


def test_hash_does_not_depend_on_files_or_the_order_of_rows(tmp_path) -> None:
    table = examples(300)
    whole = read(table, tmp_path / "whole").content_hash
    assert read(table.take(np.arange(300)[::-1]), tmp_path / "parts", parts=4).content_hash == whole


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verdict", None),
        ("amount", 12.34),
        ("payer_ispb", "99999999"),
        ("fraud_type", "OTHER"),
        (FEATURE_PREFIX + "amount", 12.34),
        ("initiated_at", START),
    ],
)
def test_hash_changes_with_any_value(name, value, tmp_path) -> None:
    table = examples(100)
    flipped = "LEGITIMATE" if table["verdict"][7].as_py() == "FRAUD" else "FRAUD"
    other = changed(table, name, 7, value or flipped)
    assert read(other, tmp_path / "other").content_hash != read(table, tmp_path / "one").content_hash


def test_hash_is_the_same_for_null_and_nan(tmp_path) -> None:
    table = examples(100)
    name = FEATURE_PREFIX + FEATURE_NAMES[3]
    nan = put(table, name, pc.fill_null(table[name], float("nan")).combine_chunks())
    assert nan[name].null_count < table[name].null_count
    assert read(nan, tmp_path / "nan").content_hash == read(table, tmp_path / "null").content_hash


def test_no_rows_give_an_empty_dataset(tmp_path) -> None:
    assert len(read(examples(50).slice(0, 0), tmp_path)) == 0
    assert len(read_parquet([], FEATURE_NAMES, LATEST, 1.0, SPEC, None)) == 0


def test_sampled_legitimate_rows_weigh_for_those_left_out(tmp_path) -> None:
    data = read(examples(2_000), tmp_path, sampled=0.25)
    np.testing.assert_array_equal(data.weight, np.where(data.fraud, 1.0, 4.0))
    pix = data.weight.sum()
    assert data.quality.fraud_share == pytest.approx(data.fraud.sum() / pix)
    assert data.quality.sampled == 0.25


class RecordedSource:
    """A source of rows that records its last query."""

    def __init__(self, labels: int, frauds: int, folder: Path) -> None:
        self.sql = ""
        self.exports = MemoryExports(examples(200))
        self.counted = {"labels": labels, "frauds": frauds}
        self.folder = folder

    def read(self, maturity_days: float = 0) -> Dataset:
        source = TrainingSource(self, MemoryQueries(lambda *_: [self.counted]), "p", "pix", maturity_days)
        return dataset.read(source, AS_OF, FEATURE_NAMES, SPEC, None)

    def export(self, sql: str, folder: Path) -> list[Path]:
        self.sql = sql
        return self.exports.export(sql, folder)


def test_only_a_table_above_rows_max_is_sampled(tmp_path) -> None:
    fits = RecordedSource(SPEC.rows_max, 100, tmp_path)
    assert set(fits.read().weight) == {1.0}
    assert "FARM_FINGERPRINT" not in fits.sql
    larger = RecordedSource(10 * SPEC.rows_max, SPEC.rows_max // 2, tmp_path)
    assert larger.read().quality.sampled == pytest.approx(0.5 / 9.5, rel=0.01)
    assert "verdict = 'FRAUD' OR ABS(MOD(FARM_FINGERPRINT(end_to_end_id), 1000000)) < 52" in larger.sql


def test_more_frauds_than_rows_max_are_misconfigured(tmp_path) -> None:
    with pytest.raises(Misconfigured, match="rows_max"):
        RecordedSource(3 * SPEC.rows_max, 2 * SPEC.rows_max, tmp_path).read()


def _repeated(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(3, 1)])


def _of(name: str, value: object):
    return lambda table: changed(table, name, 5, value)


def _without(*names: str):
    return lambda table: table.drop_columns(list(names))


def _as_text(name: str):
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
def test_defective_training_set_is_refused(spoil, message, tmp_path) -> None:
    with pytest.raises(BadDataset, match=message):
        read(spoil(examples(120)), tmp_path)


def test_error_lists_every_failed_check_and_no_ids(tmp_path) -> None:
    table = _of("amount", -1.0)(_of(FEATURE_PREFIX + FLAG, 7.0)(_repeated(examples(120))))
    with pytest.raises(BadDataset) as refused:
        read(table, tmp_path)
    found = str(refused.value)
    assert [line.partition(":")[0] for line in found.splitlines()[1:]] == ["- duplicates", "- amounts", "- ranges"]
    assert "E12345678" not in found


def test_implausible_share_of_frauds_is_refused_from_a_hundred_rows(tmp_path) -> None:
    table = examples(400)
    with pytest.raises(BadDataset, match=r"frauds: 100\.000% of Pix"):
        read(put(table, "verdict", ["FRAUD"] * 400), tmp_path / "many")
    few = examples(50)
    assert read(put(few, "verdict", ["FRAUD"] * 50), tmp_path / "few").quality.fraud_share == 1.0


def test_feature_missing_far_more_often_than_for_the_champion_is_refused(tmp_path) -> None:
    described = ColumnProfile(0.1, [], [])
    usual = Profile(dict.fromkeys(FEATURE_NAMES[:20], described), described)
    table = examples(400)
    assert read(table, tmp_path / "as-usual", profile=usual).quality.missing["amount"] == pytest.approx(0.1, abs=0.05)
    gone = put(table, FEATURE_PREFIX + FEATURE_NAMES[3], pa.nulls(400, pa.float64()))
    with pytest.raises(BadDataset, match=f"missing: 1 of 20 .* {FEATURE_NAMES[3]} 10% -> 100%"):
        read(gone, tmp_path / "gone", profile=usual)
    assert read(gone, tmp_path / "no-champion").quality.missing[FEATURE_NAMES[3]] == 1.0


def test_report_keeps_all_checks(tmp_path) -> None:
    quality = read(examples(400), tmp_path).quality
    assert quality.rows == 400
    assert all(check.passed for check in quality.checks)
    assert {"classes", "duplicates", "time", "amounts", "ranges", "frauds", "missing"} <= {
        check.name for check in quality.checks
    }


def test_query_takes_matured_pix_by_a_cut_off_in_utc() -> None:
    moment = dt.datetime(2026, 3, 1, 21, tzinfo=dt.timezone(dt.timedelta(hours=-3)))
    asked = TrainingQuery("p", "pix", 87, moment)
    cut = "initiated_at <= TIMESTAMP_SUB(TIMESTAMP '2026-03-02 00:00:00.000000+00', INTERVAL 2088 HOUR)"
    assert cut in asked.rows(FEATURE_NAMES)
    assert cut in asked.count()
    assert asked.until == micros(moment - dt.timedelta(days=87))
