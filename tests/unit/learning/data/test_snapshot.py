"""Snapshots of training sets: stored once, loaded bit for bit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shared.adapters.memory.learning import MemoryArchive
from shared.errors import Misconfigured, Unavailable
from shared.features import catalogue
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data import snapshot
from shared.learning.data.dataset import Dataset, read_parquet
from shared.learning.data.label_chance import LabelRates
from shared.learning.errors import BadDataset
from tests.unit.learning.data.tables import LATEST, SPEC, changed, put, read
from tests.unit.learning.synthetic import examples


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return read(put(examples(700), "sampling_rate", np.full(700, 0.5)), tmp_path, parts=2)


def assert_same(one: Dataset, other: Dataset) -> None:
    for name in ("features", "pix", "fraud", "initiated_at", "amount", "weight", "label_weight"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left.dtype, left.shape, left.tobytes("F")) == (right.dtype, right.shape, right.tobytes("F")), name
        assert left.flags.f_contiguous
    assert one.facts.keys() == other.facts.keys()
    for name, fact in one.facts.items():
        assert fact.values == other.facts[name].values
        np.testing.assert_array_equal(fact.codes, other.facts[name].codes)
    assert (one.names, one.quality, one.content_hash) == (other.names, other.quality, other.content_hash)


def test_dataset_without_its_bad_rows_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    table = changed(put(examples(300), "payer_ispb", ["11111111", *["00000000"] * 299]), "f_amount", 0, float("inf"))
    data, archive = read(table, tmp_path), MemoryArchive()
    snapshot.save(archive, data)
    assert (len(data), data.facts["payer_ispb"].values) == (299, ("00000000",))
    assert_same(snapshot.load(archive, data.content_hash, FEATURE_NAMES), data)


@pytest.mark.parametrize("group", [64, 700, 65_536])
def test_saved_dataset_is_loaded_bit_for_bit(data: Dataset, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "ROW_GROUP", group)
    archive = MemoryArchive()
    assert snapshot.save(archive, data) == f"datasets/{data.content_hash}.parquet"
    assert_same(snapshot.load(archive, data.content_hash, FEATURE_NAMES), data)


def test_empty_dataset_is_saved_and_loaded() -> None:
    empty = read_parquet([], FEATURE_NAMES, LATEST, SPEC, None, LabelRates())
    archive = MemoryArchive()
    snapshot.save(archive, empty)
    assert_same(snapshot.load(archive, empty.content_hash, FEATURE_NAMES), empty)


def test_snapshot_is_written_once_without_ids(data: Dataset) -> None:
    archive = MemoryArchive()
    name = snapshot.save(archive, data)
    archive.objects[name] = held = archive.objects[name] + b""
    snapshot.save(archive, data)
    assert archive.objects == {name: held}
    assert not {"end_to_end_id", "payer_id"} & set(pq.read_schema(io.BytesIO(held)).names)


def test_the_same_dataset_gives_the_same_file(data: Dataset) -> None:
    one, other = MemoryArchive(), MemoryArchive()
    snapshot.save(one, data)
    snapshot.save(other, data)
    assert one.objects == other.objects


def test_altered_or_truncated_snapshot_is_refused(data: Dataset) -> None:
    archive = MemoryArchive()
    name = snapshot.save(archive, data)
    whole = archive.objects[name]
    table = pq.read_table(io.BytesIO(whole))
    pq.write_table(table.slice(1), altered := io.BytesIO())
    for content in (altered.getvalue(), whole[:-100], b"", b"PAR1"):
        archive.objects[name] = content
        with pytest.raises(BadDataset, match=data.content_hash):
            snapshot.load(archive, data.content_hash, FEATURE_NAMES)


def test_snapshot_with_a_feature_that_is_no_more_is_refused(data: Dataset) -> None:
    archive = MemoryArchive()
    snapshot.save(archive, data)
    with pytest.raises(BadDataset, match=f"features that are no more: {FEATURE_NAMES[0]}"):
        snapshot.load(archive, data.content_hash, FEATURE_NAMES[1:])


def test_snapshot_stays_usable_after_a_feature_is_added(data: Dataset) -> None:
    archive = MemoryArchive()
    snapshot.save(archive, data)
    later = ("a_new_one", *FEATURE_NAMES[:5], "another", *FEATURE_NAMES[5:])
    found = snapshot.load(archive, data.content_hash, later)
    assert (found.names, found.content_hash, found.features.flags.f_contiguous) == (later, data.content_hash, True)
    assert np.isnan(found.features[:, [0, 6]]).all()
    known = [j for j in range(len(later)) if j not in (0, 6)]
    np.testing.assert_array_equal(found.features[:, known], data.features)


def test_features_of_another_meaning_are_refused(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = MemoryArchive()
    snapshot.save(archive, data)
    monkeypatch.setattr(catalogue, "VERSION", catalogue.VERSION + 1)
    with pytest.raises(BadDataset, match=rf"{data.content_hash} holds feature set [0-9a-f]{{12}}, and .* now mean"):
        snapshot.load(archive, data.content_hash, FEATURE_NAMES)


@pytest.mark.parametrize("asked", ["0" * 64, "", "../models/current.json"])
def test_unknown_hash_is_misconfigured(asked: str) -> None:
    with pytest.raises(Misconfigured, match="there is no training set"):
        snapshot.load(MemoryArchive(), asked, FEATURE_NAMES)


def test_unreachable_bucket_is_unavailable(data: Dataset) -> None:
    archive = MemoryArchive()
    archive.away = True
    for attempt in (
        lambda: snapshot.save(archive, data),
        lambda: snapshot.load(archive, data.content_hash, FEATURE_NAMES),
    ):
        with pytest.raises(Unavailable):
            attempt()
