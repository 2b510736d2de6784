"""Event files in time order: checked in one pass, and sorted in bounded memory without losing a line."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import pytest

from shared.contract import events_order
from shared.contract.events_file import EventFileError
from shared.contract.events_order import check_order, sort_by_time

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def line(minute: int, number: int = 0) -> bytes:
    at = (START + dt.timedelta(minutes=minute)).isoformat()
    topic, name = ("pix-feedback", "reported_at") if number % 3 == 0 else ("pix-transactions", "initiated_at")
    return json.dumps({"topic": topic, "data": {name: at, "n": number}}).encode()


def unreadable(number: int) -> bytes:
    return json.dumps({"topic": "pix-transactions", "data": {"initiated_at": "yesterday", "n": number}}).encode()


def sorted_lines(path: Path) -> list[bytes]:
    done: list[int] = []
    folder = path.parent / "sorted"
    folder.mkdir(exist_ok=True)
    result = sort_by_time(path, folder, done.append)
    assert list(folder.iterdir()) == [result], "no run is left behind"
    return result.read_bytes().splitlines()


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def test_the_order_of_a_file_is_counted(tmp_path: Path) -> None:
    events = written(tmp_path / "events", [line(1), line(5), line(3), unreadable(0), b"", line(4), line(5)])
    counted: list[int] = []
    order = check_order(events, counted.append)
    assert (order.lines, order.out_of_order) == (6, 2)
    assert (order.latest, order.latest_line) == (START + dt.timedelta(minutes=5), 7)
    assert sum(counted) == 6


@pytest.mark.parametrize("zone", [dt.UTC, dt.timezone(dt.timedelta(hours=-3))])
def test_times_are_compared_across_zones(zone: dt.timezone, tmp_path: Path) -> None:
    at = [(START + dt.timedelta(minutes=n)).astimezone(zone if n % 2 else dt.UTC).isoformat() for n in range(9)]
    lines = [json.dumps({"topic": "pix-transactions", "data": {"initiated_at": each}}).encode() for each in at]
    assert check_order(written(tmp_path / "events", lines), lambda _: None).out_of_order == 0


@pytest.mark.parametrize("run_bytes", [1, 500, 10_000, 1 << 20])
def test_lines_are_sorted_by_time_and_equal_times_keep_their_order(
    run_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_order, "RUN_BYTES", run_bytes)
    monkeypatch.setattr(events_order, "RUNS_AT_ONCE", 4)
    minutes = [random.Random(7).randrange(-100, 100) for _ in range(300)]
    lines = [line(minute, number) for number, minute in enumerate(minutes)]
    expected = [lines[i] for i in sorted(range(300), key=lambda i: minutes[i])]
    assert sorted_lines(written(tmp_path / "events", lines)) == expected


def test_a_line_without_a_time_stays_behind_its_predecessor(tmp_path: Path) -> None:
    lines = [unreadable(1), line(9), unreadable(2), unreadable(3), line(3), unreadable(4)]
    expected = [unreadable(1), line(3), unreadable(4), line(9), unreadable(2), unreadable(3)]
    assert sorted_lines(written(tmp_path / "events", lines)) == expected


def test_progress_counts_each_line_when_it_is_read_and_when_it_is_written(tmp_path: Path) -> None:
    events = written(tmp_path / "events", [line(-number, number) for number in range(10_000)])
    done: list[int] = []
    sort_by_time(events, tmp_path, done.append)
    assert sum(done) == 20_000


def test_years_before_1970_and_far_ahead_are_sorted(tmp_path: Path) -> None:
    years = [2026, 1, 9999, 1969, 1970]
    lines = [
        json.dumps({"topic": "pix-transactions", "data": {"initiated_at": f"{year:04d}-01-01T00:00:00Z"}}).encode()
        for year in years
    ]
    assert sorted_lines(written(tmp_path / "events", lines)) == [lines[i] for i in (1, 3, 4, 0, 2)]


@pytest.mark.parametrize("bad", [b"[1]", b'{"topic": "birds", "data": {}}', b'{"topic": "birds", "data": 1}'])
def test_a_bad_line_is_named(bad: bytes, tmp_path: Path) -> None:
    events = written(tmp_path / "events", [line(1), line(2), bad])
    with pytest.raises(EventFileError, match="line 3"):
        check_order(events, lambda _: None)


def test_a_folder_without_room_is_named(tmp_path: Path) -> None:
    events = written(tmp_path / "events", [line(2), line(1)])
    with pytest.raises(EventFileError, match="nowhere"):
        sort_by_time(events, tmp_path / "nowhere", lambda _: None)
