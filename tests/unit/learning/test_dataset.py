from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.adapters.memory_learning import MemoryExports
from shared.contract.event import micros
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.dataset import read_parquet, training_query
from shared.learning.errors import BadDataset
from tests.unit.learning.synthetic import AS_OF, START, examples

LATEST = micros(AS_OF)


def read(table: pa.Table, folder: Path, parts: int = 1, until: int = LATEST):
    return read_parquet(MemoryExports(table, parts).export("", folder), FEATURE_NAMES, until)


def test_rows_come_in_order_of_time_with_null_as_missing(tmp_path) -> None:
    table = examples(500)
    data = read(table, tmp_path)
    expected = table.sort_by("initiated_at").to_pandas()
    assert np.all(np.diff(data.initiated_at) >= 0)
    assert data.features.dtype == np.float32
    columns = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    np.testing.assert_array_equal(data.features, expected[columns].to_numpy(np.float32))
    np.testing.assert_array_equal(data.fraud, expected["verdict"] == "FRAUD")
    np.testing.assert_array_equal(data.amount, expected["amount"])


def test_the_hash_names_the_content_and_not_its_files_or_their_order(tmp_path) -> None:
    table = examples(300)
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        folder.mkdir()
    whole = read(table, folders[0]).content_hash
    assert read(table.take(np.arange(300)[::-1]), folders[1], parts=4).content_hash == whole
    flipped = table["verdict"].to_pylist()
    flipped[7] = "LEGITIMATE" if flipped[7] == "FRAUD" else "FRAUD"
    changed = table.set_column(table.schema.get_field_index("verdict"), "verdict", pa.array(flipped))
    assert read(changed, folders[2]).content_hash != whole


def test_pix_younger_than_the_maturity_window_are_left_out(tmp_path) -> None:
    until = micros(START + dt.timedelta(days=30))
    data = read(examples(500), tmp_path, until=until)
    assert 200 < len(data) < 300
    assert data.initiated_at[-1] <= until


def test_no_rows_at_all_are_an_empty_set(tmp_path) -> None:
    assert len(read(examples(50).slice(0, 0), tmp_path)) == 0
    assert len(read_parquet([], FEATURE_NAMES, LATEST)) == 0


def _repeated(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(3, 1)])


def _negative(table: pa.Table) -> pa.Table:
    return table.set_column(2, "amount", pc.multiply(table["amount"], -1.0))


def _infinite(table: pa.Table) -> pa.Table:
    name = FEATURE_PREFIX + FEATURE_NAMES[0]
    return table.set_column(table.schema.get_field_index(name), name, pa.array([np.inf] * len(table)))


def _without_a_feature(table: pa.Table) -> pa.Table:
    return table.drop_columns([FEATURE_PREFIX + FEATURE_NAMES[5]])


@pytest.mark.parametrize("spoil", [_repeated, _negative, _infinite, _without_a_feature])
def test_a_training_set_that_contradicts_itself_is_refused(spoil, tmp_path) -> None:
    with pytest.raises(BadDataset):
        read(spoil(examples(100)), tmp_path)


def test_the_query_names_the_cut_off_in_utc() -> None:
    moment = dt.datetime(2026, 3, 1, 21, tzinfo=dt.timezone(dt.timedelta(hours=-3)))
    assert "TIMESTAMP '2026-03-02 00:00:00.000000+00'" in training_query("p", "pix", 87, moment)
