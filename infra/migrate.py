"""Bring the dataset to what the schema files say: add tables and columns, make views anew, and never break a row.

Readers and writers of yesterday go on while this runs, so only what they do not notice is done: a new table, a new
column that may be empty, a column that is no longer required, another clustering or description. Anything else is
refused before the first change is made.

Exit codes: 0 done, 1 refused or failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud import bigquery
from rich.console import Console

from jobs.wiring import bigquery_client
from shared.contract import tables as contract
from shared.contract.tables import Column, TableSpec, ViewSpec
from shared.errors import PixError
from shared.settings import Settings

# A request that fails inside the local BigQuery would be repeated for ten minutes; a migration is repeated by hand.
NO_RETRY: Any = None
LEGACY_TYPES = {"FLOAT": "FLOAT64", "INTEGER": "INT64", "BOOLEAN": "BOOL"}

Kind = Literal["create table", "add column", "relax column", "change table", "create view", "replace view"]


class BreakingChange(PixError):
    """The files ask for something that rows or readers of today would not survive; the text names all of it."""


class Change(NamedTuple):
    """One step of a migration: what is done to which table or view, and to which column of it."""

    kind: Kind
    name: str
    column: str | None = None


def migrate(
    client: bigquery.Client,
    dataset: str,
    tables: Sequence[TableSpec],
    views: Sequence[ViewSpec],
    dry_run: bool = False,
) -> list[Change]:
    """Return the steps from what there is to the files, after taking them unless `dry_run`. Raises BreakingChange."""
    names = [*(table.name for table in tables), *(view.name for view in views)]
    live = {name: _live(client, f"{client.project}.{dataset}.{name}") for name in names}
    if breaking := [why for spec in tables if (table := live[spec.name]) for why in breaks(table, spec)]:
        raise BreakingChange("; ".join(breaking))
    changes = [change for spec in tables for change in _table_changes(live[spec.name], spec)]
    changes += [change for spec in views for change in _view_changes(live[spec.name], spec)]
    if not dry_run:
        _apply(client, dataset, changes, tables, views)
    return changes


def breaks(live: bigquery.Table, spec: TableSpec) -> Iterator[str]:
    """Yield what in the files would break the table that is there."""
    wanted = {column.name: column for column in spec.schema}
    present = {field.name: field for field in live.schema}
    if live.time_partitioning is None or live.time_partitioning.field != spec.partition_field:
        yield f"{spec.name}: partitioned by another column than {spec.partition_field}"
    for name, field in present.items():
        column = wanted.get(name)
        if column is None:
            yield f"{spec.name}.{name}: dropped"
        elif column.type != _type(field):
            yield f"{spec.name}.{name}: {_type(field)} becomes {column.type}"
        elif column.mode != field.mode and (field.mode, column.mode) != ("REQUIRED", "NULLABLE"):
            yield f"{spec.name}.{name}: {field.mode} becomes {column.mode}"
    for name, column in wanted.items():
        if name not in present and column.mode == "REQUIRED":
            yield f"{spec.name}.{name}: new and required, which rows of today are not"


def describe_table(project: str, dataset: str, spec: TableSpec) -> bigquery.Table:
    """Return a table of the contract in the client library's words."""
    fields = [bigquery.SchemaField.from_api_repr(msgspec.to_builtins(column)) for column in spec.schema]
    table = bigquery.Table(f"{project}.{dataset}.{spec.name}", schema=fields)
    table.description = spec.description
    table.time_partitioning = bigquery.TimePartitioning(field=spec.partition_field)
    table.clustering_fields = spec.clustering
    return table


def describe_view(project: str, dataset: str, spec: ViewSpec) -> bigquery.Table:
    """Return a view of the contract in the client library's words."""
    view = bigquery.Table(f"{project}.{dataset}.{spec.name}")
    view.description = spec.description
    view.view_query = spec.sql
    return view


def _live(client: bigquery.Client, name: str) -> bigquery.Table | None:
    try:
        return client.get_table(name, retry=NO_RETRY)
    except NotFound:
        return None


def _table_changes(live: bigquery.Table | None, spec: TableSpec) -> Iterator[Change]:
    if live is None:
        yield Change("create table", spec.name)
        return
    present = {field.name: field for field in live.schema}
    for column in spec.schema:
        if column.name not in present:
            yield Change("add column", spec.name, column.name)
        elif column.mode != present[column.name].mode:
            yield Change("relax column", spec.name, column.name)
    if (live.clustering_fields or []) != spec.clustering or live.description != spec.description:
        yield Change("change table", spec.name)


def _view_changes(live: bigquery.Table | None, spec: ViewSpec) -> Iterator[Change]:
    if live is None:
        yield Change("create view", spec.name)
    elif live.view_query != spec.sql or live.description != spec.description:
        yield Change("replace view", spec.name)


def _apply(
    client: bigquery.Client,
    dataset: str,
    changes: Sequence[Change],
    tables: Sequence[TableSpec],
    views: Sequence[ViewSpec],
) -> None:
    """Take the steps: tables before the views that read them."""
    client.create_dataset(dataset, exists_ok=True, retry=NO_RETRY)
    touched = {change.name: change.kind for change in changes}
    for table in tables:
        kind = touched.get(table.name)
        if kind == "create table":
            client.create_table(describe_table(client.project, dataset, table), exists_ok=True, retry=NO_RETRY)
        elif kind:
            _change_table(client, dataset, table, [change for change in changes if change.name == table.name])
    for view in views:
        kind = touched.get(view.name)
        described = describe_view(client.project, dataset, view)
        if kind == "create view":
            client.create_table(described, exists_ok=True, retry=NO_RETRY)
        elif kind:
            client.update_table(described, ["view_query", "description"], retry=NO_RETRY)


def _change_table(client: bigquery.Client, dataset: str, spec: TableSpec, changes: Sequence[Change]) -> None:
    columns = {column.name: column for column in spec.schema}
    for change in changes:
        if change.column:
            statement = column_statement(
                f"{client.project}.{dataset}.{spec.name}", change.kind, columns[change.column]
            )
            client.query(statement, retry=NO_RETRY, job_retry=NO_RETRY).result(retry=NO_RETRY)
        else:
            wanted = describe_table(client.project, dataset, spec)
            client.update_table(wanted, ["description", "clustering_fields"], retry=NO_RETRY)


def column_statement(table: str, kind: Kind, column: Column) -> str:
    """Return the GoogleSQL that adds or relaxes a column.

    >>> column_statement("p.d.t", "add column", Column("a", "STRING", "REPEATED", "Why"))
    'ALTER TABLE `p.d.t` ADD COLUMN IF NOT EXISTS a ARRAY<STRING> OPTIONS(description="Why")'
    """
    if kind == "relax column":
        return f"ALTER TABLE `{table}` ALTER COLUMN {column.name} DROP NOT NULL"
    kind_of = f"ARRAY<{column.type}>" if column.mode == "REPEATED" else column.type
    text = msgspec.json.encode(column.description).decode()  # a JSON string is a GoogleSQL string
    return f"ALTER TABLE `{table}` ADD COLUMN IF NOT EXISTS {column.name} {kind_of} OPTIONS(description={text})"


def _type(field: bigquery.SchemaField) -> str:
    return LEGACY_TYPES.get(field.field_type, field.field_type)


def main(arguments: list[str] | None = None) -> int:
    """Migrate from the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.migrate", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print the steps and take none")
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        changes = _migrate(Settings.from_env(os.environ), options.dry_run)
    except (PixError, GoogleAPICallError) as error:
        console.print(f"migrate: {error}", style="red")
        return 1
    for change in changes:
        sys.stdout.write(" ".join(part for part in change if part) + "\n")
    console.print("nothing was changed" if options.dry_run or not changes else f"{len(changes)} steps taken")
    return 0


def _migrate(settings: Settings, dry_run: bool) -> list[Change]:
    views = contract.views(settings.project, settings.dataset, settings.maturity_days)
    return migrate(bigquery_client(settings, os.environ), settings.dataset, contract.tables(), views, dry_run=dry_run)


if __name__ == "__main__":
    sys.exit(main())
