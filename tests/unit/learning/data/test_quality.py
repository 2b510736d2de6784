"""Quality checks of a training set."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.learning.data.dataset import row_counts, usable_rows
from shared.learning.data.profile import ColumnProfile, Profile
from shared.learning.data.row_counts import added
from shared.learning.errors import BadDataset
from tests.unit.learning.data.tables import LATEST, changed, put, read
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
    ("spoil", "name", "message"),
    [
        (_repeated, "duplicates", "2 rows repeat a side of a Pix"),
        (_of("amount", -1.0), "amounts", "1 rows have an amount"),
        (_of("amount", None), "amounts", "1 rows have an amount"),
        (_of("amount", np.inf), "amounts", "1 rows have an amount"),
        (_of("verdict", "PENDING"), "classes", "1 rows have neither verdict"),
        (_of("verdict", None), "classes", "1 rows have neither verdict"),
        (_of("end_to_end_id", None), "keys", "1 rows lack an id or a time"),
        (_of("initiated_at", None), "keys", "1 rows lack an id or a time"),
        (_of("initiated_at", AS_OF + dt.timedelta(seconds=1)), "time", "1 rows are later"),
        (_of("sampling_rate", 0.0), "rates", "1 rows have no sampling rate"),
        (_of(FEATURE_PREFIX + "amount", np.inf), "ranges", r"1 rows have an infinite feature .* amount \(BRL\)"),
        (_of(FEATURE_PREFIX + "amount", -np.inf), "ranges", r"1 rows have an infinite feature .* amount \(BRL\)"),
        (_of(FEATURE_PREFIX + FLAG, 1.5), "ranges", rf"1 rows .* {FLAG} \(flag\)"),
        (_of(FEATURE_PREFIX + COUNT, -1.0), "ranges", rf"1 rows .* {COUNT} \(count\)"),
    ],
)
def test_a_bad_row_is_left_out_and_reported_with_its_date(
    spoil: Change, name: str, message: str, tmp_path: Path
) -> None:
    table = examples(300)
    data = read(spoil(table), tmp_path / "spoilt")
    [found] = data.quality.left_out
    assert found.name == name
    assert re.match(message, found.text)
    assert len(data) + found.rows == len(spoil(table))
    assert np.isfinite(data.features[~np.isnan(data.features)]).all()
    without = table.filter(pa.array([i not in ((3,) if name == "duplicates" else (5,)) for i in range(300)]))
    assert data.content_hash == read(without, tmp_path / "without").content_hash
    row = table["initiated_at"][3 if name == "duplicates" else 5].as_py()
    if found.first_at is not None and name != "time":
        assert f"{row:%Y-%m-%d} to {row:%Y-%m-%d}" in found.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without(FEATURE_PREFIX + "amount", "payer_ispb"), "columns: 2 columns .* payer_ispb, f_amount"),
        (_as_text(FEATURE_PREFIX + "amount"), "types: 1 columns .* f_amount is not a number"),
    ],
)
def test_a_table_without_its_columns_is_refused(spoil: Change, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=message):
        read(spoil(examples(120)), tmp_path)


def test_more_bad_rows_than_a_stated_share_are_fatal(tmp_path: Path) -> None:
    table = examples(1_000)
    few, many = ([-1.0] * bad + table["amount"][bad:].to_pylist() for bad in (10, 11))
    assert len(read(put(table, "amount", few), tmp_path / "few")) == 990
    with pytest.raises(BadDataset, match=r"11 of 1000 rows .* are left out; 1\.0% of either may be"):
        read(put(table, "amount", many), tmp_path / "many")


def test_more_bad_frauds_than_the_share_are_fatal_though_they_are_few_rows(tmp_path: Path) -> None:
    table = examples(3_000)
    frauds = np.flatnonzero(table["verdict"].to_numpy(zero_copy_only=False) == "FRAUD")
    amounts = table["amount"].to_numpy().copy()
    amounts[frauds[:3]] = -1.0
    with pytest.raises(BadDataset, match=f"3 of 3000 rows and 3 of {len(frauds)} frauds are left out"):
        read(put(table, "amount", amounts), tmp_path)


def test_error_lists_every_failed_check_and_no_ids(tmp_path: Path) -> None:
    table = changed(_of("amount", -1.0)(_repeated(examples(120))), FEATURE_PREFIX + FLAG, 9, 7.0)
    with pytest.raises(BadDataset) as refused:
        read(table, tmp_path)
    found = str(refused.value)
    checks = [line.partition(":")[0] for line in found.splitlines()[1:]]
    assert checks == ["- amounts", "- duplicates", "- ranges", "- left out"]
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
    assert {"read", "classes", "duplicates", "time", "amounts", "ranges", "left out", "frauds", "missing"} <= {
        check.name for check in quality.checks
    }


def _spoilt(table: pa.Table) -> pa.Table:
    """Return rows with each kind of defect, of which the two with a feature out of range differ."""
    flag, count = FEATURE_PREFIX + FLAG, FEATURE_PREFIX + COUNT
    for name, row, value in (("amount", 2, -1.0), ("verdict", 8, None), ("end_to_end_id", 11, None)):
        table = changed(table, name, row, value)
    for name, row, value in ((flag, 20, 7.0), (count, 21, -9.0), (count, 22, np.inf)):
        table = changed(table, name, row, value)
    return _repeated(table)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_counts_of_parts_that_have_all_rows_of_their_pix_are_those_of_the_whole(parts: int, tmp_path: Path) -> None:
    table = _spoilt(examples(1_200))
    of = np.array([zlib.crc32((id_ or "").encode()) % parts for id_ in table["end_to_end_id"].to_pylist()])
    pq.write_table(table, tmp_path / "whole")
    every = []
    for number in range(parts):
        pq.write_table(table.filter(pa.array(of == number)), tmp_path / f"{number}")
        every.append(row_counts(*usable_rows([tmp_path / f"{number}"], FEATURE_NAMES, LATEST), FEATURE_NAMES))
    whole = row_counts(*usable_rows([tmp_path / "whole"], FEATURE_NAMES, LATEST), FEATURE_NAMES)
    found = added(every)
    assert found.legitimate == pytest.approx(whole.legitimate)
    assert msgspec.structs.replace(found, legitimate=whole.legitimate) == whole
    assert {each.name: each.rows for each in found.defects if each.rows} == {
        "classes": 1,
        "keys": 1,
        "amounts": 1,
        "duplicates": 2,
        "ranges": 3,
    }
    assert any(f"{COUNT} (count) -9 to inf" in each.told().text for each in found.defects)
