"""Event files as people have them: each is read, or refused in one line that names the fault."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from shared.contract.events_file import LINE_BYTES_MAX, EventFileError, read
from tests.builders import encoded, med_report, transaction

LINE = b'{"topic": "pix-transactions", "data": ' + encoded(transaction()) + b"}"
REPORT = b'{"topic": "pix-feedback", "data": ' + encoded(med_report("E12345678202611201432a1b2c3d4e5f")) + b"}"
BOM = b"\xef\xbb\xbf"
TWO = LINE + b"\n" + REPORT + b"\n"
READABLE = {
    "byte order mark": BOM + TWO,
    "byte order mark of an appended file": LINE + b"\n" + BOM + REPORT,
    "CRLF": LINE + b"\r\n" + REPORT + b"\r\n",
    "blank lines": b"\n \r\n" + LINE + b"\n\n" + REPORT,
    "gzip": gzip.compress(TWO),
    "two members of gzip": gzip.compress(LINE + b"\n") + gzip.compress(REPORT),
    "gzip padded with zeros": gzip.compress(TWO) + bytes(512),
    "gzip with a byte order mark": gzip.compress(BOM + TWO),
}


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz", "events", "events.json"])
@pytest.mark.parametrize("content", READABLE.values(), ids=READABLE)
def test_a_file_is_read_whatever_its_name(content: bytes, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert [line.topic for line in read(file)] == ["pix-transactions", "pix-feedback"]


@pytest.mark.parametrize("content", [b"", b"\n\r\n", BOM, gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_lines(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(content)
    assert list(read(file)) == []


REFUSED = [
    (TWO.decode().encode("utf-16"), "line 1 .*UTF-16 .*iconv"),
    (TWO.decode().encode("utf-16-le"), "line 1 .*UTF-16 .*iconv"),
    (TWO.decode().encode("utf-16-be"), "line 1 .*UTF-16 .*iconv"),
    (gzip.compress(TWO.decode().encode("utf-16")), "line 1 .*UTF-16 .*iconv"),
    (gzip.compress(gzip.compress(TWO)), "line 1 .*gzipped twice"),
    (bz2.compress(TWO), "line 1 .*bzip2"),
    (lzma.compress(TWO), "line 1 .*xz"),
    (b"PK\x03\x04\x14\x00", "line 1 .*zip"),
    (b"\x28\xb5\x2f\xfd\x04", "line 1 .*zstd"),
    (b"PAR1\x15\x04", "line 1 .*Parquet"),
    (gzip.compress(TWO) + b"trailing", "damaged after line 2: Not a gzipped file"),
    (gzip.compress(TWO) + b"\x1f\x8b\x08", "damaged after line 2"),
    (gzip.compress(TWO)[:-6], "cut off or damaged after line 2"),
    (TWO + LINE[:-5], "line 3"),
    (TWO + b"\x00" * 100, "line 3"),
    (b"x" * (LINE_BYTES_MAX + 1), "line 1 is longer than 1 MiB"),
    (LINE + b"\r" + REPORT, "line 1"),
    (b"topic,data\n" + TWO, "line 1"),
    (b"[" + LINE + b"]", "line 1"),
]


@pytest.mark.parametrize(("content", "answer"), REFUSED)
def test_a_file_is_refused_in_one_line(content: bytes, answer: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(content)
    with pytest.raises(EventFileError, match=answer) as refused:
        list(read(file))
    assert "\n" not in str(refused.value)
