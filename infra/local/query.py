"""Query the tables of a running `make up` and print the rows: python -m infra.local.query "SELECT ..." """

from __future__ import annotations

import argparse
import datetime as dt
import decimal
import itertools
import os
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from rich.console import Console
from rich.table import Table

from infra.local import home as homes
from infra.local.command import add_home, run
from infra.local.errors import LocalCloudError
from jobs.cli import interruption
from shared.errors import PixError

SECONDS = 120.0
ROWS_MAX = 200
NO_RETRY: Any = None
"""A mistake in a query would be tried again for ten minutes."""


class NothingRuns(LocalCloudError):
    """No `make up` runs in the folder."""


class QueryRefused(PixError):
    """BigQuery refused the query; the text has its reason."""


def running(home: Path) -> homes.Owner:
    """Return the process that runs the world in `home`, once it is ready. Raises NothingRuns."""
    found = homes.owner(home)
    if found is None:
        raise NothingRuns("nothing runs here. Start `make up` in another shell first")
    if not found.exports:
        raise NothingRuns(f"process {found.pid} ({found.command}) is not ready, or is not `make up`. Try again later")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the rows of a query; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return run("query", lambda: _show(options, console), console)


def _show(options: argparse.Namespace, console: Console) -> int:
    os.environ.update(running(options.home).exports)
    try:
        console.print(_answer(options.sql))
    except GoogleAPICallError as error:
        raise QueryRefused(error.message.partition("\n")[0]) from error
    return 0


def client() -> bigquery.Client:
    """Return a client of the BigQuery in the environment of this process."""
    return bigquery.Client(
        project=os.environ["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": os.environ["BIGQUERY_EMULATOR_HOST"]},
    )


def _answer(sql: str) -> Table:
    rows = client().query(sql, retry=NO_RETRY, job_retry=NO_RETRY).result(timeout=SECONDS)
    table = Table()
    for field in rows.schema:
        table.add_column(field.name, overflow="fold")
    for row in itertools.islice(rows, ROWS_MAX):
        table.add_row(*[_text(value) for value in row.values()])
    if rows.total_rows > ROWS_MAX:
        table.caption = f"the first {ROWS_MAX} of {rows.total_rows:,} rows"
    return table


def _text(value: object) -> str:
    """Return a value as short as it can be read."""
    match value:
        case None:
            return ""
        case list():
            return ", ".join(map(_text, value))
        case float():
            return f"{value:.4g}"
        case decimal.Decimal():
            return f"{value.normalize():f}"
        case dt.datetime():
            return value.isoformat(" ", "seconds")
    return str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.query", description=__doc__)
    parser.add_argument("sql", metavar="SQL", help="a query in GoogleSQL")
    add_home(parser)
    return parser


if __name__ == "__main__":
    interruption.leave(main())
