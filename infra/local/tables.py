"""The dataset, tables and views of the product, made in a BigQuery that may have some of them already."""

from typing import Any

import msgspec
from google.cloud import bigquery

from shared.contract.tables import TableSpec, ViewSpec

# A request that fails inside the local BigQuery would be repeated for ten minutes.
NO_RETRY: Any = None


def create_tables(client: bigquery.Client, dataset: str, tables: list[TableSpec], views: list[ViewSpec]) -> None:
    """Create the dataset and what is missing of the tables, and make the views anew, as they hold nothing."""
    client.create_dataset(dataset, exists_ok=True, retry=NO_RETRY)
    for table in tables:
        client.create_table(describe_table(client.project, dataset, table), exists_ok=True, retry=NO_RETRY)
    for view in views:
        described = describe_view(client.project, dataset, view)
        client.delete_table(described, not_found_ok=True, retry=NO_RETRY)
        client.create_table(described, retry=NO_RETRY)


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
