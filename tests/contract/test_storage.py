"""Cloud Storage as the official client sees it: contents, names, generations and preconditions."""

import os
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket, Client
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.local.storage.errors import ConditionNotMet, StorageError
from infra.local.storage.objects import ObjectStore
from infra.local.storage.preconditions import Preconditions
from infra.local.storage.records import ObjectRecord
from tests.contract.local_servers import storage_client
from tests.waiting import PATIENCE

CHUNK = 256 * 1024


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def client(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with storage_client(root, tmp_path_factory.mktemp("log") / "storage.log") as client:
        yield client


@pytest.fixture
def bucket(client: Client) -> Bucket:
    return client.create_bucket(f"bucket-{uuid.uuid4().hex}")


def write(bucket: Bucket, name: str, content: bytes | str = b"content", **conditions: int) -> Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(content, **conditions)
    return blob


def test_a_bucket_is_created_once_listed_and_deleted_only_when_empty(client: Client) -> None:
    bucket = client.create_bucket("models")
    with pytest.raises(Conflict):
        client.create_bucket("models")
    assert "models" in [found.name for found in client.list_buckets()]
    write(bucket, "a/b")
    with pytest.raises(Conflict):
        bucket.delete()
    bucket.delete(force=True)
    with pytest.raises(NotFound):
        client.get_bucket("models")


def test_content_type_metadata_and_checksums_survive(bucket: Bucket) -> None:
    blob = bucket.blob("v 1/modelo é%2F+.json")
    blob.metadata = {"version": "v1"}
    blob.cache_control = "no-store"
    blob.upload_from_string('{"a": 1}', content_type="application/json", checksum="crc32c")
    found = bucket.get_blob(blob.name)
    assert (found.content_type, found.metadata, found.cache_control) == (
        "application/json",
        {"version": "v1"},
        "no-store",
    )
    assert found.download_as_bytes(checksum="md5") == found.download_as_bytes(checksum="crc32c") == b'{"a": 1}'
    assert found.size == 8


@pytest.mark.parametrize("content", [b"", b"\r\n--", b"\x00\xff\r\n\r\n", os.urandom(100_000)])
def test_any_bytes_come_back(bucket: Bucket, content: bytes) -> None:
    write(bucket, "bytes", content)
    assert bucket.blob("bytes").download_as_bytes() == content


def test_a_large_file_arrives_in_chunks(bucket: Bucket) -> None:
    content = os.urandom(9_000_001)
    blob = bucket.blob("large", chunk_size=4 * CHUNK)
    blob.upload_from_string(content, if_generation_match=0)
    assert bucket.blob("large").download_as_bytes() == content
    with pytest.raises(PreconditionFailed):
        bucket.blob("large", chunk_size=CHUNK).upload_from_string(content, if_generation_match=0)


def test_a_stream_of_unknown_length_arrives(bucket: Bucket) -> None:
    with bucket.blob("stream").open("wb", chunk_size=CHUNK) as stream:
        for _ in range(5):
            stream.write(b"x" * 100_000)
    assert bucket.get_blob("stream").size == 500_000


def test_a_range_of_bytes_is_read(bucket: Bucket) -> None:
    blob = write(bucket, "range", b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=8) == b"89"
    with pytest.raises(GoogleAPICallError) as refused:
        blob.download_as_bytes(start=10)
    assert refused.value.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


def test_missing_objects_and_buckets_are_not_found(bucket: Bucket, client: Client) -> None:
    assert bucket.get_blob("none") is None
    for action in (bucket.blob("none").delete, bucket.blob("none").download_as_bytes):
        with pytest.raises(NotFound):
            action()
    with pytest.raises(NotFound):
        write(client.bucket("no-such-bucket"), "a")


def test_a_deleted_object_takes_its_empty_folders_with_it(bucket: Bucket, root: Path) -> None:
    write(bucket, "deep/er/object").delete()
    assert list(bucket.list_blobs()) == []
    assert list((root / bucket.name).iterdir()) == []


def test_only_the_live_generation_is_found(bucket: Bucket) -> None:
    first = write(bucket, "a", b"1")
    second = write(bucket, "a", b"2")
    assert second.generation > first.generation
    assert bucket.blob("a", generation=second.generation).download_as_bytes() == b"2"
    with pytest.raises(NotFound):
        bucket.blob("a", generation=first.generation).download_as_bytes()


def test_names_are_listed_by_prefix_folder_and_page(bucket: Bucket) -> None:
    for name in ("b", "a/1", "a/2", "a/c/3", "ab"):
        write(bucket, name)
    assert [blob.name for blob in bucket.list_blobs(page_size=2)] == ["a/1", "a/2", "a/c/3", "ab", "b"]
    assert [blob.name for blob in bucket.list_blobs(prefix="a/")] == ["a/1", "a/2", "a/c/3"]
    folder = bucket.list_blobs(prefix="a/", delimiter="/", page_size=1)
    assert [blob.name for blob in folder] == ["a/1", "a/2"]
    assert folder.prefixes == {"a/c/"}
    assert [blob.name for blob in bucket.list_blobs(start_offset="a/2", end_offset="b")] == ["a/2", "a/c/3", "ab"]
    assert list(bucket.list_blobs(prefix="../")) == list(bucket.list_blobs(prefix="/")) == []


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


def test_objects_are_copied_rewritten_and_composed(bucket: Bucket) -> None:
    source = bucket.blob("source")
    source.metadata = {"k": "v"}
    source.upload_from_string("one", content_type="text/plain")
    copied = bucket.copy_blob(source, bucket, "copied")
    assert (copied.download_as_bytes(), copied.metadata, copied.content_type) == (b"one", {"k": "v"}, "text/plain")
    token, written, total = bucket.blob("rewritten").rewrite(source)
    assert (token, written, total) == (None, 3, 3)
    bucket.blob("whole").compose([source, copied], if_generation_match=0)
    assert bucket.blob("whole").download_as_bytes() == b"oneone"


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd", "a//b", ".", "a\0b", "n" * 300])
def test_a_name_that_could_leave_the_bucket_is_refused(bucket: Bucket, root: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        write(bucket, name)
    assert list((root / bucket.name).iterdir()) == []


def test_an_object_cannot_be_above_another(bucket: Bucket) -> None:
    write(bucket, "a/b")
    with pytest.raises(BadRequest):
        write(bucket, "a")
    with pytest.raises(BadRequest):
        write(bucket, "a/b/c")
    assert bucket.blob("a/b").download_as_bytes() == b"content"


def test_a_wrong_checksum_is_refused(bucket: Bucket) -> None:
    blob = bucket.blob("a")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(BadRequest):
        blob.upload_from_string("content", checksum=None)
    assert not bucket.blob("a").exists()


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


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    with storage_client(tmp_path / "root", tmp_path / "log") as client:
        blob = client.create_bucket("models").blob("a/b")
        blob.metadata = {"k": "v"}
        blob.upload_from_string("content")
        blob.patch()
    with storage_client(tmp_path / "root", tmp_path / "log") as client:
        found = client.bucket("models").get_blob("a/b")
        assert (found.generation, found.metageneration, found.metadata) == (blob.generation, 2, {"k": "v"})
        assert (
            write(client.bucket("models"), "a/b", if_generation_match=found.generation).generation > blob.generation
        )


def test_an_interrupted_write_leaves_the_old_object(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    store.buckets.create("models")
    old = put(store, "a", b"old", ())
    staged = store.stage()
    staged.write(b"half of the n")
    staged.close()
    again = ObjectStore(tmp_path)
    assert again.get("models", "a") == old
    assert list((tmp_path / ".meta").rglob("unfinished")) == []


def test_a_request_without_json_is_refused(client: Client) -> None:
    request = urllib.request.Request(f"{client._connection.API_BASE_URL}/storage/v1/b", data=b"{")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert refused.value.code == HTTPStatus.BAD_REQUEST
    refused.value.close()


def put(store: ObjectStore, name: str, content: bytes, match: tuple[int, ...]) -> ObjectRecord:
    staged = store.stage()
    staged.write(content)
    conditions = Preconditions(generation_match=match[0]) if match else Preconditions()
    try:
        return store.put("models", name, staged, {}, conditions)
    finally:
        staged.discard()


class StoreMachine(RuleBasedStateMachine):
    """The store against a dict of name to (generation, content), restarted at any time."""

    directory: Path
    names = st.sampled_from(["a", "b/c", "b/d"])

    @initialize()
    def begin(self) -> None:
        self.root = self.directory / uuid.uuid4().hex
        self.store = ObjectStore(self.root)
        self.store.buckets.create("models")
        self.model: dict[str, tuple[int, bytes]] = {}
        self.highest = 0

    @rule(name=names, content=st.binary(max_size=5))
    def write(self, name: str, content: bytes) -> None:
        self.remember(name, content, put(self.store, name, content, ()).generation)

    @rule(name=names, content=st.binary(max_size=5), offset=st.sampled_from([0, 0, 1, -1]))
    def write_if_generation(self, name: str, content: bytes, offset: int) -> None:
        current = self.model.get(name, (0, b""))[0]
        if offset == 0:
            self.remember(name, content, put(self.store, name, content, (current,)).generation)
        else:
            with pytest.raises(ConditionNotMet):
                put(self.store, name, content, (current + offset,))

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.model.pop(name, None):
            self.store.delete("models", name)
        else:
            with pytest.raises(StorageError):
                self.store.delete("models", name)

    @rule(name=names, content=st.binary(min_size=6, max_size=9))
    def write_from_outside(self, name: str, content: bytes) -> None:
        path = self.root / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        generation = self.store.get("models", name).generation
        assert generation > self.model.get(name, (0, b""))[0]
        self.model[name] = (generation, content)

    @rule(name=names)
    def touch_metadata(self, name: str) -> None:
        if name in self.model:
            before = self.store.get("models", name).metageneration
            assert self.store.update("models", name, {"metadata": {}}).metageneration == before + 1

    @rule()
    def restart(self) -> None:
        self.store = ObjectStore(self.root)

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.buckets.objects("models") == sorted(self.model)
        for name, (generation, content) in self.model.items():
            record, file = self.store.open("models", name)
            with file:
                assert (record.generation, file.read()) == (generation, content)

    def remember(self, name: str, content: bytes, generation: int) -> None:
        assert generation > self.highest
        self.highest = generation
        self.model[name] = (generation, content)


def test_the_store_agrees_with_a_dict_of_generations(tmp_path: Path) -> None:
    StoreMachine.directory = tmp_path
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=40, stateful_step_count=20))
