"""Files of events: lines that are read, and the reason of an unreadable file."""

import gzip
from pathlib import Path

import pytest

from shared.contract.events_file import EventFileError, read
from tests.builders import encoded, transaction

LINE = b'{"topic": "pix-transactions", "data": ' + encoded(transaction()) + b"}"
MANY = b"\n".join(b'{"topic": "pix-transactions", "data": ' + encoded(transaction()) + b"}" for _ in range(200))


@pytest.mark.parametrize("text", [LINE, LINE + b"\r\n\r\n", b"\n  \n" + LINE])
def test_blank_lines_and_line_endings_do_not_matter(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(text)
    assert [line.topic for line in read(file)] == ["pix-transactions"]


def test_a_compressed_file_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(gzip.compress(MANY))
    assert len(list(read(file))) == 200


def damaged(data: bytes) -> bytes:
    return data[:500] + b"\xff" * 100 + data[600:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(MANY)[:-20], "cut off or damaged"),
        (damaged(gzip.compress(MANY)), "cut off or damaged"),
        (gzip.compress(LINE + b'\n{"topic": "pix-transfers", "data": {}}'), "line 2"),
        (gzip.compress(LINE + b"\n[1]"), "line 2"),
    ],
)
def test_an_unreadable_file_is_an_error_with_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(content)
    with pytest.raises(EventFileError, match=reason):
        list(read(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="nowhere"):
        list(read(tmp_path / "nowhere"))
