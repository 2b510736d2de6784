"""Tables and views of dataset `pix`, from the files in `bigquery/`, which Terraform and the local cloud also read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shared.contract.mapping import REPORT_IDS
from shared.contract.rows import FEATURE_PREFIX, NextIds

FOLDER = Path(__file__).parent / "bigquery"
TABLES = (
    "score_events",
    "outcomes",
    "late_outcomes",
    "feedback",
    "quarantine",
    "model_ledger",
    "fills",
    "lost_places",
    "training_sample",
    "reviews",
    "suspicions",
    "health",
)
EARLIEST = "TIMESTAMP '0001-01-01 00:00:00+00'"
"""The first moment that BigQuery holds, in GoogleSQL."""
PLACES = (
    *("end_to_end_id", "side", "history_sequence", "decided_sequence", "place_pending", "visited", "decided_visited"),
)
"""The columns of `score_events` by which rows find their places."""
_ORDER = (
    "end_to_end_id",
    "side",
    "history_sequence",
    "claim_number",
    "published_at",
    "delivery_attempt",
    "scored_at",
)
NEXT, NEXT_KEY = "next_", "next_hmac_key"
"""Prefix of the column of an id under the next HMAC key, and the column of that key's fingerprint."""
PIX_IDS = tuple(name.removeprefix(NEXT) for name in NextIds.__struct_fields__ if name != NEXT_KEY)
"""The columns of pseudonyms in `score_events`; `mapping.REPORT_IDS` are those in `feedback`."""
VIEWS = (
    *("scores", "labels", "life", "training_examples", "quarantined"),
    *("payments_sent", "payments_received", "holds"),
)
MATERIALIZED: Mapping[str, str] = {
    "payments_sent": "payer_id",
    "payments_received": "payee_id",
    "holds": "end_to_end_id",
}
"""The first column that clusters each view whose rows BigQuery stores; the local cloud makes them plain views."""


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


def query(
    name: str, project: str, dataset: str, maturity_days: float, as_of: str, day: dt.datetime | None = None
) -> str:
    """Return the GoogleSQL of a view as of `as_of`, an SQL expression for a TIMESTAMP.

    Labels may be those of the Pix initiated on one day (UTC) alone: no row of before it is read then.
    """
    values: dict[str, Any] = {
        "project": project,
        "dataset": dataset,
        "maturity_hours": round(24 * maturity_days),
        "as_of": as_of,
        "features": ", ".join(f"{name} AS {name.removeprefix(FEATURE_PREFIX)}" for name in feature_columns()),
        "feature_columns": ",\n  ".join(f"scored.{name}" for name in feature_columns()),
    }
    values["first"] = first(project, dataset, as_of, "" if day is None else initiated_on(day))
    values["since"] = EARLIEST if day is None else timestamp(day)
    known = f"initiated_at <= {as_of}"
    every, by_then = f"`{project}.{dataset}.score_events` WHERE {known}", f"{known} AND filled_at <= {as_of}"
    values["counted"] = counted(project, dataset, ("initiated_at", "decision"), every, by_then)
    values["first_counted"] = counted(project, dataset, None, f"({values['first']}) AS first", by_then)
    values["labels"] = _text("labels").format(**values)
    values["settled"] = _text("parts/settled").format(**values)
    return _text(name).format(**values)


def first(project: str, dataset: str, as_of: str, which: str = "", columns: Sequence[str] | None = None) -> str:
    """Return the GoogleSQL of the first row of each Pix and side as of `as_of`; `which` is a condition on rows.

    `columns` are those of the rows beside their order, by default all; few make a query that is planned sooner.
    """
    known = f"initiated_at <= {as_of} AND {which}" if which else f"initiated_at <= {as_of}"
    sql = first_of(f"`{project}.{dataset}.score_events`\n    WHERE {known}")
    if columns is None:
        return sql
    return sql.replace("    *,\n", f"    {', '.join(dict.fromkeys((*columns, *_ORDER)))},\n", 1)


def first_of(source: str, number: str = "history_sequence", which: str = "TRUE") -> str:
    """Return the GoogleSQL of the first row of each Pix and side in `source`, of the rows with the condition `which`.

    The order rests on all rows. `number` is the column of the place that history gave a row when it was decided.
    """
    return _text("parts/first").format(source=source, number=number, which=which)


def counted(
    project: str,
    dataset: str,
    columns: Sequence[str] | None = None,
    source: str = "",
    filled_where: str = "TRUE",
    hmac_key: str | None = None,
) -> str:
    """Return the GoogleSQL of rows of `score_events` with their places and features as history counted them.

    `columns` are those of the rows beside PLACES, by default all; few make a query that is planned sooner. `source`
    names the rows, by default all of the table; `filled_where` limits the fills that are read. `hmac_key` is as in
    `under_key`.
    """
    rows = placed(project, dataset, columns, source, hmac_key)
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


def placed(
    project: str, dataset: str, columns: Sequence[str] | None = None, source: str = "", hmac_key: str | None = None
) -> str:
    """Return the GoogleSQL of rows of `score_events` without lost places; the parameters are those of `counted`."""
    if columns is None:
        chosen = every_under_key(PIX_IDS, hmac_key)
    else:
        names = (*PLACES, *(name for name in columns if name not in PLACES))
        chosen = ", ".join(f"{under_key(name, hmac_key)} AS {name}" if name in PIX_IDS else name for name in names)
    rows = f"SELECT {chosen} FROM {source or f'`{project}.{dataset}.score_events`'}"  # noqa: S608 (names of our own)
    return _text("parts/placed").format(rows=rows, **_lost(project, dataset))


def told(project: str, dataset: str, which: str = "TRUE") -> str:
    """Return the GoogleSQL of outcomes as history counted them, each once; `which` is a condition on rows."""
    return _text("parts/told").format(project=project, dataset=dataset, which=which, **_lost(project, dataset))


def reported(project: str, dataset: str, hmac_key: str | None = None) -> str:
    """Return the GoogleSQL of the rows of reports that history has not lost; `hmac_key` is as in `under_key`."""
    rows = f"SELECT {every_under_key(REPORT_IDS, hmac_key)} FROM `{project}.{dataset}.feedback`"  # noqa: S608 (names of our own)
    return _text("parts/reported").format(rows=rows, **_lost(project, dataset))


def under_key(name: str, hmac_key: str | None) -> str:
    """Return the expression of an id under the HMAC key with the fingerprint `hmac_key`, as far as the row has it.

    Rows of the last key carry it in another column. Without `hmac_key`, an id stands as it was written.

    >>> under_key("payer_id", "3d7e5c2e")
    "IF(next_hmac_key = '3d7e5c2e', COALESCE(next_payer_id, payer_id), payer_id)"
    """
    return name if hmac_key is None else f"IF({NEXT_KEY} = '{hmac_key}', COALESCE({NEXT}{name}, {name}), {name})"


def every_under_key(ids: Sequence[str], hmac_key: str | None) -> str:
    """Return the select list of all columns of a table, with its `ids` by `under_key`."""
    if hmac_key is None:
        return "*"
    return f"* REPLACE ({', '.join(f'{under_key(name, hmac_key)} AS {name}' for name in ids)})"


def lost(project: str, dataset: str) -> str:
    """Return the GoogleSQL of the last number kept of each epoch of which changes were lost."""
    return _text("parts/lost").format(project=project, dataset=dataset)


def measured(project: str, dataset: str, measures: Sequence[str] = (), *, segments: bool = True) -> str:
    """Return the GoogleSQL of the rows of health of days from @since on, the latest of each measure.

    `measures` are those to read, by default all; without `segments`, those of all Pix together.
    """
    named = ", ".join(f"'{measure}'" for measure in measures)
    which = f"AND measure IN ({named}) " if measures else ""
    which += "" if segments else "AND segment IS NULL "
    return (
        f"SELECT * FROM `{project}.{dataset}.health` WHERE `day` >= @since {which}"  # noqa: S608 (names of our own)
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY `day`, measure, side, model_version, segment, age_days "
        "ORDER BY measured_at DESC) = 1"
    )


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


def initiated_on(day: dt.datetime) -> str:
    """Return the GoogleSQL of the condition that a Pix was initiated on the day (UTC) that starts then."""
    return f"initiated_at >= {timestamp(day)} AND initiated_at < {timestamp(day + dt.timedelta(days=1))}"


def timestamp(moment: dt.datetime) -> str:
    """Return a moment in GoogleSQL.

    >>> timestamp(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    "TIMESTAMP '2026-01-01 00:00:00.000000+00'"
    """
    return f"TIMESTAMP '{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
