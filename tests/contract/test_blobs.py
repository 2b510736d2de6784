"""The port Blobs as both adapters keep it: in memory, and Cloud Storage behind the official client."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from infra.local.loopback import free_port
from shared.adapters.gcs import CHUNK, GcsBlobs
from shared.adapters.memory.learning import MemoryArchive
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import Misconfigured, PreconditionFailed, Unavailable
from shared.learning.ports import SharedArchive
from shared.ports.blobs import Blobs, Checksum
from tests.contract.local_servers import PROJECT, storage_client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("storage")
    with storage_client(folder / "objects", folder / "log") as client:
        yield client


@pytest.fixture(params=["memory", "gcs"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else in_a_bucket(request.getfixturevalue("client"))


def in_a_bucket(client: Client) -> GcsBlobs:
    return GcsBlobs(client.create_bucket(f"bucket-{uuid.uuid4().hex}"))


def test_an_object_is_read_with_its_generation(blobs: Blobs) -> None:
    assert blobs.read("models/current.json") is None
    generation = blobs.write("models/current.json", b"one", 0)
    assert blobs.read("models/current.json") == (b"one", generation)
    later = blobs.write("models/current.json", b"", generation)
    assert later != generation
    assert blobs.read("models/current.json") == (b"", later)


def test_a_write_at_another_generation_changes_nothing(blobs: Blobs) -> None:
    first = blobs.write("a", b"one", 0)
    second = blobs.write("a", b"two", first)
    for stale in (0, first):
        with pytest.raises(PreconditionFailed):
            blobs.write("a", b"three", stale)
    with pytest.raises(PreconditionFailed):
        blobs.write("absent", b"x", first)
    assert blobs.read("a") == (b"two", second)
    assert blobs.read("absent") is None


def test_of_concurrent_writes_at_one_generation_one_succeeds(blobs: Blobs) -> None:
    generation = 0
    for _ in range(5):

        def attempt(i: int, read: int = generation) -> int | None:
            try:
                return blobs.write("a", b"%d" % i, read)
            except PreconditionFailed:
                return None

        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(attempt, range(6)))
        [generation] = [result for result in results if result is not None]
        assert blobs.read("a") == (b"%d" % results.index(generation), generation)


def test_objects_under_a_prefix_are_listed_by_name_with_their_time_and_deleted(blobs: MemoryBlobs | GcsBlobs) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    for name in ("models/1/b", "models/1/a", "models/10/c"):
        blobs.write(name, b"", 0)
    assert [item.name for item in blobs.listed("models/")] == ["models/1/a", "models/1/b", "models/10/c"]
    assert all(before <= item.updated_at <= dt.datetime.now(dt.UTC) for item in blobs.listed("models/"))
    blobs.delete("models/1/")
    blobs.delete("models/1/")
    assert [item.name for item in blobs.listed("")] == ["models/10/c"]


def test_objects_under_a_prefix_are_saved_and_deleted_alone(client: Client, tmp_path: Path) -> None:
    blobs = in_a_bucket(client)
    for name in ("exports/1/b.parquet", "exports/1/a.parquet", "exports/10/c.parquet"):
        blobs.write(name, name.encode(), 0)
    files = blobs.download("exports/1/", tmp_path)
    assert [file.read_bytes() for file in files] == [b"exports/1/a.parquet", b"exports/1/b.parquet"]
    blobs.delete("exports/1/")
    assert blobs.read("exports/1/a.parquet") is None
    assert blobs.read("exports/10/c.parquet") is not None


@pytest.fixture(params=["memory", "gcs"])
def archive(request: pytest.FixtureRequest) -> SharedArchive:
    return MemoryArchive() if request.param == "memory" else in_a_bucket(request.getfixturevalue("client"))


@pytest.mark.parametrize("size", [0, 10, CHUNK - 1, CHUNK, 2 * CHUNK + 5])
def test_an_object_written_in_pieces_is_fetched_complete(archive: SharedArchive, size: int, tmp_path: Path) -> None:
    content = bytes(range(251)) * (size // 251 + 1)

    def write(file: BinaryIO) -> None:
        for start in range(0, size, 1_000_000):
            file.write(content[start : min(start + 1_000_000, size)])

    assert not archive.fetch("datasets/a", tmp_path / "absent")
    assert archive.create("datasets/a", write)
    assert archive.fetch("datasets/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content[:size]
    assert not archive.create("datasets/a", lambda file: write_all(file, b"another"))
    archive.fetch("datasets/a", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content[:size]


def test_an_object_is_copied_once_and_its_checksum_is_that_of_its_bytes(
    archive: SharedArchive, tmp_path: Path
) -> None:
    assert archive.checksum("datasets/a") is None
    with pytest.raises(Misconfigured, match="does not exist"):
        archive.copy("datasets/a", "datasets/b")
    archive.create("datasets/a", lambda file: write_all(file, b"some rows"))
    archive.create("datasets/c", lambda file: write_all(file, b"other rows"))
    md5 = hashlib.md5(b"some rows", usedforsecurity=False).hexdigest()
    assert archive.checksum("datasets/a") == Checksum(md5, 9)
    archive.copy("datasets/a", "datasets/b")
    archive.copy("datasets/c", "datasets/b")
    assert archive.fetch("datasets/b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"some rows"


@pytest.mark.parametrize("size", [10, CHUNK + 5])
def test_an_interrupted_write_leaves_no_object(archive: SharedArchive, size: int, tmp_path: Path) -> None:
    def cut_off(file: BinaryIO) -> None:
        file.write(bytes(size))
        raise KeyError("cut off")

    with pytest.raises(KeyError):
        archive.create("a", cut_off)
    assert not archive.fetch("a", tmp_path / "a")


@pytest.mark.parametrize("size", [10, CHUNK + 5])
def test_the_first_of_two_writers_to_finish_wins(archive: SharedArchive, size: int, tmp_path: Path) -> None:
    def late(file: BinaryIO) -> None:
        file.write(bytes(size))
        assert archive.create("a", lambda other: write_all(other, b"first"))

    assert not archive.create("a", late)
    archive.fetch("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"first"


def write_nothing(file: BinaryIO) -> None:
    write_all(file, b"")


def write_all(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def test_a_bucket_that_does_not_exist_is_named(client: Client, tmp_path: Path) -> None:
    blobs = GcsBlobs(client.bucket("nowhere"))
    for attempt in (
        lambda: blobs.write("a", b"", 0),
        lambda: blobs.download("a", tmp_path),
        lambda: blobs.create("a", write_nothing),
    ):
        with pytest.raises(Misconfigured, match="nowhere"):
            attempt()


def test_an_unreachable_storage_is_unavailable(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": endpoint}) as client:
        blobs = GcsBlobs(client.bucket("b"), patience=0.1)
        for attempt in (
            lambda: blobs.read("a"),
            lambda: blobs.write("a", b"", 0),
            lambda: blobs.download("a", tmp_path),
            lambda: blobs.create("a", write_nothing),
            lambda: blobs.fetch("a", tmp_path / "a"),
        ):
            with pytest.raises(Unavailable):
                attempt()
