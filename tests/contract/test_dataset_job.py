"""`jobs.dataset` over a local Cloud Storage: what DVC finds in its remote are the very bytes of a training set."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import dataset
from shared.learning.data.dvc import REMOTE
from shared.learning.data.snapshot import name_of
from tests.contract.local_servers import PROJECT, storage_client

HASH, ROWS = "0f" * 32, b"PAR1 these are rows PAR1" * 1000
DVC = os.environ.get("DVC") or shutil.which("dvc")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of a bucket with one training set, while it is served."""
    root = tmp_path_factory.mktemp("objects")
    with (
        storage_client(root, root.parent / "storage.log") as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("STORAGE_EMULATOR_HOST", str(client._connection.API_BASE_URL))
        patch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
        patch.setenv("PIX_DATA_BUCKET", "pix-data")
        client.create_bucket("pix-data").blob(name_of(HASH)).upload_from_string(ROWS)
        yield root / "pix-data"


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the result of the job."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = dataset.main(list(arguments))
    return code, json.loads(printed.getvalue())


@pytest.mark.usefixtures("bucket")
def test_training_sets_are_listed_and_saved(tmp_path: Path) -> None:
    code, found = run("list")
    assert (code, [each["dataset_hash"] for each in found["training_sets"]]) == (0, [HASH])
    assert run("get", HASH, "--out", str(tmp_path / "rows.parquet"))[0] == 0
    assert (tmp_path / "rows.parquet").read_bytes() == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_pointer_names_the_bytes_in_the_remote(bucket: Path, tmp_path: Path) -> None:
    for _ in range(2):
        code, found = run("get", HASH, "--out", str(tmp_path / "rows.parquet"), "--dvc")
        md5 = hashlib.md5(ROWS, usedforsecurity=False).hexdigest()
        assert (code, found["md5"], found["remote"]) == (0, md5, f"gs://pix-data/{REMOTE}")
        assert (bucket / REMOTE / "files" / "md5" / md5[:2] / md5[2:]).read_bytes() == ROWS
    assert (tmp_path / "rows.parquet.dvc").read_text() == (
        f"outs:\n- md5: {md5}\n  size: {len(ROWS)}\n  hash: md5\n  path: rows.parquet\n"
    )
    assert len(run("list")[1]["training_sets"]) == 1


@pytest.mark.skipif(DVC is None, reason="DVC is not installed")
def test_an_ordinary_dvc_pulls_and_gets_the_rows(bucket: Path, tmp_path: Path) -> None:
    assert DVC is not None
    repository = tmp_path / "repository"
    repository.mkdir()
    run("get", HASH, "--out", str(tmp_path / "rows.parquet"), "--dvc")
    (tmp_path / "rows.parquet.dvc").rename(repository / "rows.parquet.dvc")
    remote = str(bucket / REMOTE)  # gs://pix-data/... as a folder
    for command in (
        ["git", "init", "-q"],
        [DVC, "init", "-q"],
        [DVC, "remote", "add", "-q", "-d", "pix", remote],
        [DVC, "pull", "-q"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "rows"],
        [DVC, "get", "-q", ".", "rows.parquet", "-o", str(tmp_path / "got.parquet")],
    ):
        subprocess.run(command, cwd=repository, check=True, timeout=300)
    assert (repository / "rows.parquet").read_bytes() == (tmp_path / "got.parquet").read_bytes() == ROWS


@pytest.mark.usefixtures("bucket")
def test_an_unknown_training_set_or_folder_is_said(tmp_path: Path) -> None:
    code, found = run("get", "1e" * 32, "--out", str(tmp_path / "rows.parquet"))
    assert (code, found["outcome"]) == (1, "FAILED")
    assert "no training set" in found["reasons"][0]
    assert list(tmp_path.iterdir()) == []
    assert "is not a folder" in run("get", HASH, "--out", str(tmp_path / "none" / "rows.parquet"))[1]["reasons"][0]
    with pytest.raises(SystemExit):
        dataset.main(["get", "../../models/current.json"])
