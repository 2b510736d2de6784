"""The folder of a world: one process at a time may use it, and files of other programs are safe from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import home as homes
from infra.local.errors import LocalCloudError
from infra.local.home import ForeignHome, HomeInUse, claimed, mark, owner, read_marker
from shared.settings import MATURITY_DAYS

HOLD = """
import sys
from pathlib import Path
from infra.local.home import claimed
from shared.settings import MATURITY_DAYS
with claimed(Path(sys.argv[1]), "make up") as home:
    home.open()
    home.publish({"A": "1"})
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "world"


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that has the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.communicate()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_in_use_names_the_process_that_has_it(
    folder: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "PATIENCE_SECONDS", 0.0)
    before = files(folder)
    with pytest.raises(HomeInUse, match=rf"in use by process {holder.pid} \(make up\)"), claimed(folder, "make demo"):
        pytest.fail("claimed twice")
    assert files(folder) == before
    found = owner(folder)
    assert found is not None
    assert (found.pid, found.command, found.exports) == (holder.pid, "make up", {"A": "1"})


def test_a_killed_process_has_nothing_any_more(folder: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert owner(folder) is None
    with claimed(folder, "make up"):
        found = owner(folder)
    assert found is not None
    assert found.pid == os.getpid()
    assert owner(folder) is None


@pytest.mark.parametrize("content", [{"thesis.txt": "mine"}, {"world.json": '{"path": "x", "made_by": "another"}'}])
def test_a_folder_of_another_program_is_neither_used_nor_changed(folder: Path, content: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    before = files(folder)
    with pytest.raises(ForeignHome, match=r"stays as it is\. Name an empty folder"), claimed(folder, "make up"):
        pytest.fail("claimed")
    assert files(folder) == before
    assert not homes.beside(folder, "lock").exists()


def test_a_file_is_not_a_folder(folder: Path) -> None:
    folder.write_text("mine")
    with pytest.raises(ForeignHome, match="is not a folder"), claimed(folder, "make up"):
        pytest.fail("claimed")
    assert folder.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(LocalCloudError, match=r"cannot be used: .*--home"),
        claimed(tmp_path / "file" / "a" / "world", "make up"),
    ):
        pytest.fail("claimed")


def test_claiming_writes_nothing_into_the_folder(folder: Path) -> None:
    folder.mkdir()
    with claimed(folder, "make up") as home:
        assert list(folder.iterdir()) == []
        assert not home.is_world
        assert home.open().maturity_days == MATURITY_DAYS
        assert home.is_world
    assert [path.name for path in folder.iterdir()] == [homes.MARKER]


def test_a_world_is_set_aside_with_its_files(folder: Path) -> None:
    mark(folder, 3.0)
    (folder / "rows").write_text("rows")
    with claimed(folder, "make up") as home:
        aside = home.set_aside()
        assert aside == homes.beside(folder, "old")
        assert (aside / "rows").read_text() == "rows"
        assert not folder.exists()
        assert home.set_aside() is None


def test_a_world_is_not_set_aside_over_files_of_another_program(folder: Path) -> None:
    mark(folder)
    foreign = homes.beside(folder, "old")
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with claimed(folder, "make up") as home, pytest.raises(ForeignHome, match=r"world\.old"):
        home.set_aside()
    assert (foreign / "thesis.txt").read_text() == "mine"
    assert read_marker(folder) is not None


def test_a_new_world_takes_the_place_of_the_earlier_one(folder: Path) -> None:
    mark(folder, 3.0)
    built = homes.beside(folder, "new")
    mark(built, 5.0)
    with claimed(folder, "make demo") as home:
        earlier = home.adopt(built)
    assert earlier is not None
    now, before = read_marker(folder), read_marker(earlier)
    assert now is not None
    assert before is not None
    assert (now.path, now.maturity_days, before.maturity_days) == (str(folder), 5.0, 3.0)
    assert not built.exists()
