"""Fixtures of the Cloud Storage contract: a server, the official client, and a new bucket for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Blob, Bucket, Client

from tests.contract.local_servers import storage_client


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
