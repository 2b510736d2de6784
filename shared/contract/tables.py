"""Tables and views of dataset `pix`, from the files in `bigquery/`, which Terraform and the local cloud also read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shared.contract.rows import FEATURE_PREFIX

FOLDER = Path(__file__).parent / "bigquery"
TABLES = (
    "score_events",
    "outcomes",
    "feedback",
    "quarantine",
    "model_ledger",
    "fills",
    "lost_places",
    "training_sample",
)
PLACES = (
    *("end_to_end_id", "side", "history_sequence", "decided_sequence", "place_pending", "visited", "decided_visited"),
)
"""The columns of `score_events` by which rows find their places."""
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
    values["first"] = _text("parts/first").format(**values)
    known = f"initiated_at <= {as_of}"
    every, by_then = f"`{project}.{dataset}.score_events` WHERE {known}", f"{known} AND filled_at <= {as_of}"
    values["counted"] = counted(project, dataset, ("initiated_at", "decision"), every, by_then)
    values["first_counted"] = counted(project, dataset, None, f"({values['first']}) AS first", by_then)
    values["labels"] = _text("labels").format(**values)
    values["settled"] = _text("parts/settled").format(**values)
    return _text(name).format(**values)


def counted(
    project: str,
    dataset: str,
    columns: Sequence[str] | None = None,
    source: str = "",
    filled_where: str = "TRUE",
) -> str:
    """Return the GoogleSQL of rows of `score_events` with their places and features as history counted them.

    `columns` are those of the rows beside PLACES, by default all; few make a query that is planned sooner. `source`
    names the rows, by default all of the table; `filled_where` limits the fills that are read.
    """
    rows = placed(project, dataset, columns, source)
    chosen = feature_columns() if columns is None else [name for name in columns if name.startswith(FEATURE_PREFIX)]
    counted_features = "".join(
        f",\n      IF(fill.end_to_end_id IS NULL, placed.{name}, fill.{name}) AS {name}" for name in chosen
    )
    return _text("parts/counted").format(
        project=project,
        dataset=dataset,
        placed=rows,
        **_lost(project, dataset),
        filled_where=filled_where,
        counted_features=counted_features,
    )


def placed(project: str, dataset: str, columns: Sequence[str] | None = None, source: str = "") -> str:
    """Return the GoogleSQL of rows of `score_events` without lost places; the parameters are those of `counted`."""
    chosen = "*" if columns is None else ", ".join((*PLACES, *(name for name in columns if name not in PLACES)))
    rows = f"SELECT {chosen} FROM {source or f'`{project}.{dataset}.score_events`'}"  # noqa: S608 (names of our own)
    return _text("parts/placed").format(rows=rows, **_lost(project, dataset))


def told(project: str, dataset: str, which: str = "TRUE") -> str:
    """Return the GoogleSQL of outcomes as history counted them, each once; `which` is a condition on rows."""
    return _text("parts/told").format(project=project, dataset=dataset, which=which, **_lost(project, dataset))


def reported(project: str, dataset: str) -> str:
    """Return the GoogleSQL of the rows of reports that history has not lost."""
    return _text("parts/reported").format(project=project, dataset=dataset, **_lost(project, dataset))


def lost(project: str, dataset: str) -> str:
    """Return the GoogleSQL of the last number kept of each epoch of which changes were lost."""
    return _text("parts/lost").format(project=project, dataset=dataset)


def kept_places(column: str) -> str:
    """Return the GoogleSQL of the places in a repeated column of `known` that are not lost by `gone.ends`."""
    return _text("parts/kept").format(column=column)


def ends(project: str, dataset: str) -> str:
    """Return the GoogleSQL of one row with the `ends` of history's parts of which changes were lost."""
    return _text("parts/ends").format(lost=lost(project, dataset))


def _lost(project: str, dataset: str) -> dict[str, str]:
    """Return the parts of a query that leaves lost places out."""
    kept = {"kept_visited": kept_places("visited"), "kept_decided": kept_places("decided_visited")}
    return {"lost": lost(project, dataset), "ends": ends(project, dataset), **kept}


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
