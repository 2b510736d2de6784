"""Bring the tables that are there to what the schema files say: add columns, and never break a row.

Readers and writers of yesterday go on while this runs, so only what they do not notice is done: a new column that may
be empty, a column that is no longer required, another clustering or description. Anything else is refused before the
first change is made.

Run it before Terraform, to which all else is left. Terraform makes a table that is missing, as only it knows the
key, the expiry and the rights, and would find one that was made here in its way; and it replaces views, which hold
nothing. The columns of a table that is there it leaves alone, as it would make a table anew that it cannot change.
So on an empty project there is nothing to migrate.

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

from shared.contract import tables as contract
from shared.contract.tables import Column, TableSpec, ViewSpec
from shared.errors import PixError
from shared.settings import Settings
from shared.wiring.common import bigquery_client

# A request that fails inside the local BigQuery would be repeated for ten minutes; a migration is repeated by hand.
NO_RETRY: Any = None
LEGACY_TYPES = {"FLOAT": "FLOAT64", "INTEGER": "INT64", "BOOLEAN": "BOOL"}

Kind = Literal["add column", "relax column", "change table"]


class BreakingChange(PixError):
    """The files ask for something that rows or readers of today would not survive; the text names all of it."""


class Change(NamedTuple):
    """One step of a migration: what is done to which table, and to which column of it."""

    kind: Kind
    name: str
    column: str | None = None


def migrate(
    client: bigquery.Client, dataset: str, tables: Sequence[TableSpec], dry_run: bool = False
) -> list[Change]:
    """Return the steps from what there is to the files, after taking them unless `dry_run`. Raises BreakingChange."""
    live = {spec.name: _live(client, f"{client.project}.{dataset}.{spec.name}") for spec in tables}
    there = [(table, spec) for spec in tables if (table := live[spec.name])]
    if breaking := [why for table, spec in there for why in breaks(table, spec)]:
        raise BreakingChange("; ".join(breaking))
    changes = [change for table, spec in there for change in _changes(table, spec)]
    if not dry_run:
        specs = {spec.name: spec for spec in tables}
        for change in changes:
            _apply(client, dataset, specs[change.name], change)
    return changes


def make(client: bigquery.Client, dataset: str, tables: Sequence[TableSpec], views: Sequence[ViewSpec] = ()) -> None:
    """Do what Terraform does in the cloud: make dataset and tables where they are missing, and the views anew.

    Raises BreakingChange for a table that is there and cannot become what the files say.
    """
    client.create_dataset(dataset, exists_ok=True, retry=NO_RETRY)
    migrate(client, dataset, tables)
    for spec in tables:
        client.create_table(describe_table(client.project, dataset, spec), exists_ok=True, retry=NO_RETRY)
    for view in views:
        described = describe_view(client.project, dataset, view)
        client.delete_table(described, not_found_ok=True, retry=NO_RETRY)
        client.create_table(described, retry=NO_RETRY)


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


def _changes(live: bigquery.Table, spec: TableSpec) -> Iterator[Change]:
    present = {field.name: field for field in live.schema}
    for column in spec.schema:
        if column.name not in present:
            yield Change("add column", spec.name, column.name)
        elif column.mode != present[column.name].mode:
            yield Change("relax column", spec.name, column.name)
    if (live.clustering_fields or []) != spec.clustering or live.description != spec.description:
        yield Change("change table", spec.name)


def _apply(client: bigquery.Client, dataset: str, spec: TableSpec, change: Change) -> None:
    if change.column is None:
        wanted = describe_table(client.project, dataset, spec)
        client.update_table(wanted, ["description", "clustering_fields"], retry=NO_RETRY)
        return
    column = next(column for column in spec.schema if column.name == change.column)
    statement = column_statement(f"{client.project}.{dataset}.{spec.name}", change.kind, column)
    client.query(statement, retry=NO_RETRY, job_retry=NO_RETRY).result(retry=NO_RETRY)


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
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.migrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dry-run", action="store_true", help="print the steps and take none")
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        settings = Settings.from_env(os.environ)
        client = bigquery_client(settings)
        changes = migrate(client, settings.dataset, contract.tables(), dry_run=options.dry_run)
    except (PixError, GoogleAPICallError) as error:
        console.print(f"migrate: {error}", style="red")
        return 1
    for change in changes:
        sys.stdout.write(" ".join(part for part in change if part) + "\n")
    console.print("nothing was changed" if options.dry_run or not changes else f"{len(changes)} steps taken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
