"""Tables and views of dataset `pix`, from the files in `bigquery/`, which Terraform and the local cloud also read."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shared.contract.rows import FEATURE_PREFIX

FOLDER = Path(__file__).parent / "bigquery"
TABLES = ("score_events", "outcomes", "feedback", "quarantine", "model_ledger", "training_sample")
VIEWS = ("scores", "labels", "life", "training_examples", "quarantined")


class Column(Struct, frozen=True):
    """One column, with the keys of a BigQuery JSON schema."""

    name: str
    type: str
    mode: str
    description: str


class TableSpec(Struct, frozen=True):
    """One table; partitioned by day of `partition_field`, clustered by `clustering`."""

    name: str
    description: str
    partition_field: str
    clustering: list[str]
    schema: list[Column]


class ViewSpec(Struct, frozen=True):
    """One view and its GoogleSQL."""

    name: str
    description: str
    sql: str


class _TableFile(Struct):
    description: str
    partition_field: str
    clustering: list[str]
    schema: list[Column]


@cache
def table(name: str) -> TableSpec:
    """Return the table of that name."""
    file = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=_TableFile)
    return TableSpec(name, file.description, file.partition_field, file.clustering, file.schema)


def tables() -> list[TableSpec]:
    """Return every table."""
    return [table(name) for name in TABLES]


def views(project: str, dataset: str, maturity_days: float) -> list[ViewSpec]:
    """Return every view, each after the views it reads."""
    return [
        ViewSpec(name, _purpose(name), query(name, project, dataset, maturity_days, "CURRENT_TIMESTAMP()"))
        for name in VIEWS
    ]


def query(name: str, project: str, dataset: str, maturity_days: float, as_of: str) -> str:
    """Return the GoogleSQL of a view as of `as_of`, an SQL expression for a TIMESTAMP."""
    values: dict[str, Any] = {
        "project": project,
        "dataset": dataset,
        "maturity_hours": round(24 * maturity_days),
        "as_of": as_of,
        "features": ", ".join(f"{name} AS {name.removeprefix(FEATURE_PREFIX)}" for name in feature_columns()),
        "feature_columns": ",\n  ".join(f"scored.{name}" for name in feature_columns()),
    }
    values["labels"] = _text("labels").format(**values)
    values["settled"] = _text("parts/settled").format(**values)
    return _text(name).format(**values)


def feature_columns() -> list[str]:
    """Return the columns of features in `score_events`, in the order of the feature vector."""
    return [column.name for column in table("score_events").schema if column.name.startswith(FEATURE_PREFIX)]


def plain_columns() -> list[str]:
    """Return the columns of `score_events` other than features."""
    return [column.name for column in table("score_events").schema if not column.name.startswith(FEATURE_PREFIX)]


def _purpose(name: str) -> str:
    return _text(name).partition("\n")[0].removeprefix("-- ")


def _text(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text("utf-8")


def timestamp(moment: dt.datetime) -> str:
    """Return a moment in GoogleSQL.

    >>> timestamp(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    "TIMESTAMP '2026-01-01 00:00:00.000000+00'"
    """
    return f"TIMESTAMP '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
