"""The result of a batch: the same files however rows came, and never a half that looks whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.batch.inputs import Inputs, inputs
from shared.batch.output import MANIFEST, ResultFolder, ResultManifest, by_span
from shared.batch.run import BatchRun, LocalEngine, Result, decide_all, manifest
from shared.batch.scoring import SCHEMA
from shared.errors import Misconfigured, Unavailable
from shared.scoring.bundle import Bundle
from tests.unit.batch.worlds import ROWS, batch, features, labelled, silent, whole, written
from tests.unit.learning.synthetic import silent as step


def result_of(one: BatchRun, rows: Inputs, workers: int = 2) -> Result:
    """Decide rows, and seal the result."""
    found = decide_all(LocalEngine(Bundle(one.method.files), workers), one, rows, step)
    one.folder.seal(manifest(one, "v1", found, []))
    return found


def test_files_do_not_depend_on_the_order_and_division_of_the_input(tmp_path: Path) -> None:
    rows, results = labelled(), []
    shuffled = rows.take(np.random.default_rng(1).permutation(ROWS))
    (tmp_path / "many").mkdir()
    for i in range(3):
        written(tmp_path / "many" / f"{i}.parquet", shuffled.slice(i * 1_000, 1_000), 200)
    one_file = written(tmp_path / "one.parquet", rows)
    for name, place, part_rows, workers in (("a", one_file, 10**6, 1), ("b", str(tmp_path / "many"), 300, 3)):
        one = batch(tmp_path / name)
        result_of(one, inputs([place], features(one.method), part_rows), workers)
        results.append(whole(tmp_path / name))
    assert results[0] == results[1]
    assert len(results[0]) == 61  # 60 days and the manifest


def test_rows_are_in_order_of_time_from_file_to_file_and_the_manifest_tells_them(tmp_path: Path) -> None:
    rows = labelled()
    one = batch(tmp_path / "out", hours=12)
    found = result_of(one, inputs([written(tmp_path / "in.parquet", rows)], features(one.method)))
    told = msgspec.json.decode((tmp_path / "out" / MANIFEST).read_bytes(), type=ResultManifest)
    tables = []
    for file in told.files:
        content = (tmp_path / "out" / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        tables.append(pq.read_table(pa.BufferReader(content)))
        assert file.rows == len(tables[-1])
    decided = pa.concat_tables(tables)
    assert decided.schema.equals(SCHEMA)
    at = decided["initiated_at"].cast(pa.int64()).to_numpy()
    assert np.all(np.diff(at) >= 0)
    assert sorted(decided["end_to_end_id"].to_pylist()) == sorted(rows["end_to_end_id"].to_pylist())
    assert (told.rows, sum(told.decisions.values()), told.version) == (ROWS, ROWS, "v1")
    assert found.decisions == told.decisions
    assert not (tmp_path / "out" / "_work").exists()


def test_a_side_of_a_pix_that_repeats_is_refused(tmp_path: Path) -> None:
    rows = labelled(100)
    one = batch(tmp_path / "out")
    place = written(tmp_path / "in.parquet", pa.concat_tables([rows, rows.slice(0, 1)]))
    with pytest.raises(Misconfigured, match="1 rows repeat a side"):
        result_of(one, inputs([place], features(one.method)))


def test_no_rows_are_a_result_without_files(tmp_path: Path) -> None:
    one = batch(tmp_path / "out", until=0)
    found = result_of(one, inputs([written(tmp_path / "in.parquet", labelled(100))], features(one.method)))
    assert (found.rows, found.files) == (0, [])
    assert list(whole(tmp_path / "out")) == [MANIFEST]
    one = batch(tmp_path / "none")
    assert result_of(one, Inputs([], ())).rows == 0


def test_a_whole_result_and_foreign_files_are_never_overwritten(tmp_path: Path) -> None:
    folder = ResultFolder(str(tmp_path / "out"))
    folder.claim()
    (tmp_path / "out" / MANIFEST).write_text("{}")
    with pytest.raises(Misconfigured, match="has a result already"):
        folder.claim()
    (tmp_path / "out" / MANIFEST).rename(tmp_path / "out" / "diary.txt")
    with pytest.raises(Misconfigured, match=r"diary\.txt"):
        folder.claim()
    folder.clear()
    assert (tmp_path / "out" / "diary.txt").exists()


def test_an_unfinished_result_is_begun_again(tmp_path: Path) -> None:
    one = batch(tmp_path / "out")
    rows = inputs([written(tmp_path / "in.parquet", labelled(500))], features(one.method))
    engine = LocalEngine(Bundle(one.method.files), 1)
    slices = engine.score(one, rows, silent)
    engine.write(one, dict(list(by_span(slices).items())[:1]), silent)
    left = list(whole(tmp_path / "out"))
    assert any(name.startswith("part-") for name in left)
    assert any(name.startswith("_work/") for name in left)
    assert MANIFEST not in left
    one.folder.claim()
    assert whole(tmp_path / "out") == {}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        ResultFolder(str(tmp_path / "file" / "out")).claim()


@pytest.mark.parametrize(
    ("place", "message"),
    [("missing.parquet", "does not exist"), ("text.parquet", "not a Parquet file"), ("empty", "has no file named")],
)
def test_input_that_is_none_is_told(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "text.parquet").write_text("end_to_end_id\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Misconfigured, match=message):
        inputs([str(tmp_path / place)], ["side"])


def test_unknown_storage_is_told() -> None:
    with pytest.raises(Misconfigured, match="ftp:// is not a storage"):
        inputs(["ftp://bank/rows"], ["side"])


def test_columns_that_lack_or_have_another_type_are_told(tmp_path: Path) -> None:
    rows = labelled(30)
    lacking = written(tmp_path / "lacking.parquet", rows.drop_columns(["f_side", "initiated_at"]))
    with pytest.raises(Misconfigured, match=r"lacks 2 columns .*initiated_at.*f_side"):
        inputs([lacking], ["side"])
    place = rows.schema.get_field_index("f_side")
    odd = written(tmp_path / "odd.parquet", rows.set_column(place, "f_side", pa.array(["PAYER"] * 30)))
    with pytest.raises(Misconfigured, match=r"another type .*f_side"):
        inputs([odd], ["side"])
