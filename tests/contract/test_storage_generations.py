"""Generations and preconditions of Cloud Storage, as the official client sees them."""

import os
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage import Bucket

from tests.contract.storage_buckets import bucket, client, root, write

__all__ = ["bucket", "client", "root"]


def test_only_the_live_generation_is_found(bucket: Bucket) -> None:
    first = write(bucket, "a", b"1")
    second = write(bucket, "a", b"2")
    assert second.generation > first.generation
    assert bucket.blob("a", generation=second.generation).download_as_bytes() == b"2"
    with pytest.raises(NotFound):
        bucket.blob("a", generation=first.generation).download_as_bytes()


def test_every_precondition_is_enforced(bucket: Bucket) -> None:
    blob = write(bucket, "a", if_generation_match=0)
    stale = {"if_generation_match": 1}
    for refused in (
        {"if_generation_match": 0},
        stale,
        {"if_generation_not_match": blob.generation},
        {"if_metageneration_match": 2},
        {"if_metageneration_not_match": 1},
    ):
        with pytest.raises(PreconditionFailed):
            write(bucket, "a", **refused)
    for action in (blob.delete, blob.reload, blob.patch, blob.download_as_bytes):
        with pytest.raises(PreconditionFailed):
            action(**stale)
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(blob, bucket, "b", if_generation_match=1)
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(blob, bucket, "b", if_source_generation_match=1)
    with pytest.raises(PreconditionFailed):
        bucket.blob("b").rewrite(blob, if_source_metageneration_match=7)
    assert bucket.blob("a").download_as_bytes(if_generation_match=blob.generation) == b"content"
    assert [found.name for found in bucket.list_blobs()] == ["a"]


def test_a_reader_that_has_the_generation_gets_304(bucket: Bucket) -> None:
    blob = write(bucket, "a")
    with pytest.raises(GoogleAPICallError) as known:
        blob.reload(if_generation_not_match=blob.generation)
    assert known.value.code == HTTPStatus.NOT_MODIFIED
    blob.reload(if_generation_not_match=1)


def test_a_patch_increments_the_metageneration_alone(bucket: Bucket) -> None:
    blob = write(bucket, "a")
    before = blob.generation
    blob.metadata = {"k": "v"}
    blob.patch(if_metageneration_match=1)
    assert (blob.generation, blob.metageneration, blob.metadata) == (before, 2, {"k": "v"})


def test_of_two_racing_writers_exactly_one_wins(bucket: Bucket) -> None:
    for _ in range(50):
        current = bucket.get_blob("pointer")
        outcomes = race(bucket, current.generation if current else 0)
        assert [type(outcome) for outcome in outcomes].count(str) == 1
        winner = next(outcome for outcome in outcomes if isinstance(outcome, str))
        assert bucket.blob("pointer").download_as_text() == winner


def race(bucket: Bucket, generation: int) -> list[str | PreconditionFailed]:
    outcomes: list[str | PreconditionFailed] = []
    start = threading.Barrier(2)

    def attempt(content: str) -> None:
        start.wait()
        try:
            write(bucket, "pointer", content, if_generation_match=generation)
            outcomes.append(content)
        except PreconditionFailed as refused:
            outcomes.append(refused)

    writers = [threading.Thread(target=attempt, args=(content,)) for content in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return outcomes


def test_a_file_of_another_program_is_an_object(bucket: Bucket, root: Path) -> None:
    path = root / bucket.name / "export" / "000.parquet"
    path.parent.mkdir()
    path.write_bytes(b"first")
    first = bucket.get_blob("export/000.parquet")
    assert first.generation == path.stat().st_mtime_ns // 1000
    assert bucket.get_blob("export/000.parquet").generation == first.generation
    path.write_bytes(b"second")
    os.utime(path, ns=(0, 0))  # also a copy that keeps an old time is a new generation
    second = bucket.get_blob("export/000.parquet")
    assert second.generation > first.generation
    assert second.download_as_bytes() == b"second"
    assert write(bucket, "export/000.parquet", if_generation_match=second.generation).generation > second.generation
