"""Cloud Storage as the official client sees it: contents, names, generations and preconditions."""

import os
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage import Bucket, Client

from tests.contract.local_servers import storage_client
from tests.contract.storage_buckets import bucket, client, root, write
from tests.waiting import PATIENCE

__all__ = ["bucket", "client", "root"]
CHUNK = 256 * 1024


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


def test_objects_are_copied_rewritten_and_composed(bucket: Bucket) -> None:
    source = bucket.blob("source")
    source.metadata = {"k": "v"}
    source.upload_from_string("one", content_type="text/plain")
    copied = bucket.copy_blob(source, bucket, "copied")
    assert (copied.download_as_bytes(), copied.metadata, copied.content_type) == (b"one", {"k": "v"}, "text/plain")
    token, written, total = bucket.blob("rewritten").rewrite(source)
    assert (token, written, total) == (None, 3, 3)
    bucket.blob("composed").compose([source, copied], if_generation_match=0)
    assert bucket.blob("composed").download_as_bytes() == b"oneone"


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


def test_a_request_without_json_is_refused(client: Client) -> None:
    request = urllib.request.Request(f"{client._connection.API_BASE_URL}/storage/v1/b", data=b"{")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert refused.value.code == HTTPStatus.BAD_REQUEST
    refused.value.close()
