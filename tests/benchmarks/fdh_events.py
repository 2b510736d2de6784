"""Convert transactions of the Fraud Detection Handbook to an event file of the public contract.

The Parquet file has the columns datetime, customer_id, terminal_id, amount_cents and fraud, in time order. Customers
become payers, terminals payees; every label follows seven days after its transaction, as in the published protocol.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from rich.console import Console
from rich.progress import track

from infra.local.simulator.identity import check_digits

COLUMNS = ["datetime", "customer_id", "terminal_id", "amount_cents", "fraud"]
PAYER_ISPB, PAYEE_ISPB = "10000001", "20000002"
LABEL_DELAY = timedelta(days=7)
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class UnusableInput(ValueError):
    """The file has no usable transactions in the requested days."""


def load(path: Path, first: date, days: int) -> pd.DataFrame:
    """Read the transactions of `days` days from `first` on, in time order. Raises UnusableInput."""
    start = np.datetime64(first.isoformat(), "s")
    end = start + np.timedelta64(days, "D")
    try:
        found = pyarrow.parquet.read_table(
            path, columns=COLUMNS, filters=[("datetime", ">=", start), ("datetime", "<", end)]
        ).to_pandas()
    except FileNotFoundError:
        raise UnusableInput(f"{path} does not exist") from None
    except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError, pyarrow.ArrowNotImplementedError, OSError) as error:
        raise UnusableInput(f"{path} is not a Parquet file with the columns {', '.join(COLUMNS)}: {error}") from None
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise UnusableInput(f"{path} has no column {', '.join(missing)}")
    if found.empty:
        raise UnusableInput(f"{path} has no transaction in {days} days from {first}")
    ordered: pd.DataFrame = found.sort_values("datetime", kind="stable", ignore_index=True)
    return ordered


def events(table: pd.DataFrame, *, legitimate_verdicts: bool = True) -> Iterator[bytes]:
    """Yield the lines of the event file in time order; a label follows seven days after its transaction.

    A fraud becomes a MED report that is closed and agreed. With `legitimate_verdicts` the others get an analyst's
    verdict. The published protocol has every label after seven days, but under the MED an unreported Pix counts as
    LEGITIMATE only after 80 + 7 days, longer than the usual excerpt of the stream.
    """
    waiting: deque[tuple[datetime, bytes]] = deque()
    rows = zip(*(table[column].tolist() for column in COLUMNS), strict=True)
    for number, (at, customer, terminal, cents, fraud) in enumerate(rows):
        while waiting and waiting[0][0] <= at:
            yield waiting.popleft()[1]
        end_to_end_id = f"E{PAYER_ISPB}{at:%Y%m%d%H%M}{_base36(number)}"
        yield _line("pix-transactions", _transaction(end_to_end_id, at, customer, terminal, cents))
        if fraud or legitimate_verdicts:
            due = at + LABEL_DELAY
            waiting.append((due, _line("pix-feedback", _label(end_to_end_id, due, number, fraud=fraud))))
    yield from (text for _, text in waiting)


def _transaction(end_to_end_id: str, at: datetime, customer: int, terminal: int, cents: int) -> dict[str, object]:
    body = f"{customer + 100_000_000:09d}"
    return {
        "end_to_end_id": end_to_end_id,
        "initiated_at": _instant(at),
        # A few transactions of the stream have the amount zero, which is invalid for a Pix.
        "amount": f"{max(cents, 1) // 100}.{max(cents, 1) % 100:02d}",
        "initiation_form": "QRES",
        "payer": {"tax_id": body + check_digits(body), "ispb": PAYER_ISPB, "account": f"{customer + 1_000_000}"},
        "payee": {"ispb": PAYEE_ISPB, "account": f"{terminal + 2_000_000}"},
    }


def _label(end_to_end_id: str, at: datetime, number: int, *, fraud: bool) -> dict[str, object]:
    common: dict[str, object] = {
        "report_id": f"fdh-{number}",
        "end_to_end_id": end_to_end_id,
        "reported_at": _instant(at),
    }
    if not fraud:
        return {"source": "ANALYST", **common, "verdict": "LEGITIMATE"}
    closed: dict[str, object] = {
        "status": "CLOSED",
        "analysis_result": "AGREED",
        "situation_type": "UNKNOWN",
        "fraud_type": "UNKNOWN",
    }
    return {"source": "MED", **common, **closed}


def _line(topic: str, data: dict[str, object]) -> bytes:
    return msgspec.json.encode({"topic": topic, "data": data}) + b"\n"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def _base36(number: int) -> str:
    """Write a number in base 36 with 11 characters.

    >>> _base36(37)
    '00000000011'
    """
    text = ""
    for _ in range(11):
        number, digit = divmod(number, 36)
        text = _ALPHABET[digit] + text
    return text


def main(arguments: list[str] | None = None) -> int:
    """Write the event file; return the exit status (0 done, 1 input or output unusable, 2 wrong options)."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        table = load(options.data, options.first, options.days)
        total = len(table) + (len(table) if options.legitimate_verdicts else int(table["fraud"].sum()))
        lines = events(table, legitimate_verdicts=options.legitimate_verdicts)
        with Path(options.out).open("wb") as out:
            for line in track(lines, "writing events", total=total, console=console, transient=True):
                out.write(line)
    except (UnusableInput, OSError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return 1
    frauds = int(table["fraud"].sum())
    summary = f"{len(table):,} transactions, {frauds:,} frauds, {total - len(table):,} labels -> {options.out}"
    console.print(summary, markup=False, soft_wrap=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.fdh_events",
        description="Convert days of the Fraud Detection Handbook stream (Parquet) to an event file (NDJSON).",
        epilog="example: python -m tests.benchmarks.fdh_events --data fdh.parquet --from 2018-07-01 --days 14 "
        "--out events.ndjson",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FILE", help=f"Parquet with the columns {', '.join(COLUMNS)}")
    add("--from", dest="first", type=_day, required=True, metavar="DATE", help="first day, for example 2018-07-01")
    add("--days", type=_positive, default=14, metavar="N", help="number of days (default: 14)")
    add("--out", required=True, metavar="FILE", help="event file to write")
    add(
        "--legitimate-verdicts",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write an analyst's verdict LEGITIMATE 7 days after each transaction without fraud, as in the published "
        "protocol (default); without it an unreported transaction counts as legitimate after 87 days",
    )
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2018-07-01") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
