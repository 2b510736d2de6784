"""Command-line arguments that jobs share."""

from __future__ import annotations

import argparse
import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from shared.contract.fields import Amount

DAYS_MAX = 10 * 366
PAUSE_MAX = 1_000_000
HOURS_MAX = 24 * DAYS_MAX


def parser(job: str, description: str | None, epilog: str = "") -> argparse.ArgumentParser:
    """Return the command-line parser of a job, described by its module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m jobs.{job}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=epilog + "\nThe project, bucket and dataset come from the environment; see shared/settings.py.\n"
        "The last line of standard output is the result as JSON. SIGINT, SIGTERM and SIGHUP end it with "
        "INTERRUPTED and exit code 128 plus the number of the signal.",
    )


def add_config(add: Callable[..., object], what: str) -> None:
    """Add the option of the file with the settings of learning, of which a job reads the part `what`."""
    file = Path(__file__).parents[1] / "config.yaml"
    add("--config", type=Path, default=file, metavar="FILE", help=f"{what} (default: jobs/config.yaml)")


def moment(text: str) -> dt.datetime | None:
    """Return a moment as `instant` does; None for `now`. Raises ArgumentTypeError."""
    return None if text == "now" else instant(text)


def instant(text: str) -> dt.datetime:
    """Return a moment, in UTC if it names no time zone. Raises ArgumentTypeError.

    >>> instant("2026-11-20T14:32")
    datetime.datetime(2026, 11, 20, 14, 32, tzinfo=datetime.timezone.utc)
    """
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-20T14:32:05Z") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def past(text: str) -> dt.datetime | None:
    """Return a moment as `moment` does, unless it is in the future. Raises ArgumentTypeError."""
    found = moment(text)
    if found is not None and found > dt.datetime.now(dt.UTC):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time that has passed")
    return found


def past_day(text: str) -> dt.datetime:
    """Return the start of a day (UTC) that is over. Raises ArgumentTypeError.

    >>> past_day("2025-11-20")
    datetime.datetime(2025, 11, 20, 0, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        found = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-11-20") from error
    if found > dt.datetime.now(dt.UTC) - dt.timedelta(days=1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a day that is over")
    return found


def count(text: str) -> int:
    """Return a whole number of at least 0. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number of at least 1. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal()) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def days(text: str, least: int = 1) -> int:
    """Return a whole number of days, at most ten years. Raises ArgumentTypeError."""
    found = int(text) if text.isascii() and text.isdecimal() else -1
    if not least <= found <= DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of days from {least} to {DAYS_MAX}")
    return found


def pause(text: str) -> int:
    """Return a whole number of seconds or minutes for which to leave rows alone. Raises ArgumentTypeError."""
    found = count(text)
    if found > PAUSE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0 and <= {PAUSE_MAX}")
    return found


def centavos(text: str) -> int:
    """Return an amount in BRL of at least 0, as the contract writes it, in centavos. Raises ArgumentTypeError.

    >>> centavos("200.5")
    20050
    """
    try:
        return round(Decimal(msgspec.convert(text, Amount)) * 100)
    except msgspec.ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount such as 200.00") from error


def price(text: str) -> int:
    """Return an amount in BRL above 0 in centavos. Raises ArgumentTypeError."""
    if not (found := centavos(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount above 0")
    return found


def pseudonym(text: str) -> str:
    """Return a pseudonym. Raises ArgumentTypeError, which does not repeat the text: it may be an account's number.

    >>> pseudonym("9c08879279395002d3b4582787920ec3")
    '9c08879279395002d3b4582787920ec3'
    >>> pseudonym("9c08879279395002d3b458278792-10e")
    '9c08879279395002d3b458278792-10e'
    """
    if not re.fullmatch("[0-9a-f]{28}([0-9a-f]|-)[0-9a-f]{3}", text):
        raise argparse.ArgumentTypeError("a pseudonym has 32 hexadecimal digits in lower case, or 28, - and 3")
    return text


def share(text: str) -> float:
    """Return a share above 0 and of at most 1. Raises ArgumentTypeError.

    >>> share("0.05")
    0.05
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share above 0 and of at most 1")
    return found


def span(text: str) -> dt.timedelta:
    """Return a number of hours, above 0 and at most ten years. Raises ArgumentTypeError.

    >>> span("0.5")
    datetime.timedelta(seconds=1800)
    """
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= HOURS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours above 0 and of at most ten years")
    return dt.timedelta(hours=hours)
