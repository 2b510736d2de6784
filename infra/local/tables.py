"""The dataset, tables and views of the product, made in a BigQuery that may have some of them already."""

from typing import Any

import msgspec
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from shared.contract.tables import TableSpec, ViewSpec

# A request that fails inside the local BigQuery would be repeated for ten minutes.
NO_RETRY: Any = None


def create_tables(client: bigquery.Client, dataset: str, tables: list[TableSpec], views: list[ViewSpec]) -> None:
    """Create the dataset and what is missing of the tables and views, in this order; what exists stays as it is."""
    client.create_dataset(dataset, exists_ok=True, retry=NO_RETRY)
    for table in tables:
        client.create_table(describe_table(client.project, dataset, table), exists_ok=True, retry=NO_RETRY)
    for view in views:
        _create_view(client, describe_view(client.project, dataset, view))


def describe_table(project: str, dataset: str, spec: TableSpec) -> bigquery.Table:
    """Turn a table of the contract into the client library's words."""
    fields = [bigquery.SchemaField.from_api_repr(msgspec.to_builtins(column)) for column in spec.schema]
    table = bigquery.Table(f"{project}.{dataset}.{spec.name}", schema=fields)
    table.description = spec.description
    table.time_partitioning = bigquery.TimePartitioning(field=spec.partition_field)
    table.clustering_fields = spec.clustering
    return table


def describe_view(project: str, dataset: str, spec: ViewSpec) -> bigquery.Table:
    """Turn a view of the contract into the client library's words."""
    view = bigquery.Table(f"{project}.{dataset}.{spec.name}")
    view.description = spec.description
    view.view_query = spec.sql
    return view


def _create_view(client: bigquery.Client, view: bigquery.Table) -> None:
    # bqemulator refuses a view that exists with 400, which exists_ok does not take for "exists".
    try:
        client.get_table(view.reference, retry=NO_RETRY)
    except NotFound:
        client.create_table(view, retry=NO_RETRY)
