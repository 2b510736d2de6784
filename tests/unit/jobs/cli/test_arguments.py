"""Parsers of command-line arguments."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable

import pytest

from jobs import drift, explain_drift, fill, monitor, redrive, retire, retrain, skew
from jobs.cli import arguments


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_keeps_it() -> None:
    assert arguments.instant("2026-01-02") == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert arguments.instant("2026-01-02T00:00:00-03:00") == dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC)
    assert arguments.moment("now") is None
    assert arguments.moment("2026-01-02") == arguments.instant("2026-01-02")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((arguments.instant, text) for text in ("", "now", "garbage", "2026-13-01")),
        *((arguments.count, text) for text in ("", "-1", "1.5", "x", "²")),
        *((arguments.positive, text) for text in ("", "0", "-1", "1.5", "x", "²")),
        *((arguments.days, text) for text in ("", "0", "-1", "1.5", "x", "99999999999")),
        *((arguments.past_day, text) for text in ("", "garbage", "2026-13-01", "9999-12-31")),
        *((arguments.past, text) for text in ("", "garbage", "9999-12-31")),
        *((arguments.pause, text) for text in ("", "-1", "x", "99999999999")),
        *((arguments.span, text) for text in ("", "0", "-5", "nan", "inf", "1e12", "x")),
    ],
)
def test_invalid_arguments_are_refused_with_a_reason(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a"):
        parse(text)


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (drift.main, ["--hours", "nan"]),
        (drift.main, ["--rows-min", "0"]),
        (retrain.main, ["--as-of", "garbage"]),
        (retrain.main, ["--trials", "0"]),
        (redrive.main, ["transactions", "--max", "0"]),
        (retire.main, ["--days", "-1"]),
        (retire.main, ["--days", "99999999999"]),
        (fill.main, ["--days", "99999999999"]),
        (monitor.main, ["--as-of", "9999-12-31"]),
        (monitor.main, ["--days", "0"]),
        (explain_drift.main, ["9999-12-31"]),
        (explain_drift.main, ["yesterday"]),
        (skew.main, ["--from", "now"]),
    ],
)
def test_jobs_with_invalid_arguments_end_with_code_2(
    main: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert " is not a" in capsys.readouterr().err
