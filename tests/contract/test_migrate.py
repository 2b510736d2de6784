"""Migrations over a BigQuery: compatible changes are made, all others are refused."""

from collections.abc import Iterator

import msgspec
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from infra.deploy.migrate import NO_RETRY, BreakingChange, Change, make, migrate
from shared.contract import tables as contract
from shared.contract.tables import Column, TableSpec, ViewSpec
from tests.contract.local_servers import local_bigquery

FEEDBACK = contract.table("feedback")
NEW = Column("channel", "STRING", "NULLABLE", "Where the report was made")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bigquery.Client]:
    home = tmp_path_factory.mktemp("migrate")
    with local_bigquery(home, home) as local:
        yield local.client


def with_columns(*columns: Column) -> TableSpec:
    return msgspec.structs.replace(FEEDBACK, schema=list(columns))


def test_an_empty_project_has_nothing_to_migrate(client: bigquery.Client) -> None:
    assert migrate(client, "empty", contract.tables()) == []
    assert "empty" not in {each.dataset_id for each in client.list_datasets()}


def test_tables_made_from_the_files_need_no_migration(client: bigquery.Client) -> None:
    make(client, "all", contract.tables(), contract.views("bank", "all", 87))
    assert {table.table_id for table in client.list_tables("all")} == {*contract.TABLES, *contract.VIEWS}
    assert migrate(client, "all", contract.tables()) == []
    assert client.get_table("bank.all.score_events").clustering_fields == contract.table("score_events").clustering


def test_a_dry_run_changes_nothing(client: bigquery.Client) -> None:
    make(client, "dry", [FEEDBACK])
    grown = with_columns(NEW, *FEEDBACK.schema)
    for _ in range(2):
        assert migrate(client, "dry", [grown], dry_run=True) == [Change("add column", "feedback", "channel")]
    with pytest.raises(BadRequest, match="channel"):
        client.query("SELECT channel FROM dry.feedback").result(retry=NO_RETRY)


def test_a_new_column_is_added_to_a_table_with_rows(client: bigquery.Client) -> None:
    make(client, "adding", [FEEDBACK])
    client.query(
        "INSERT INTO adding.feedback (source, report_id, end_to_end_id, reported_at, received_at, verdict) "
        "VALUES ('MED', 'r', 'E', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 'FRAUD')"
    ).result()
    grown = with_columns(NEW, *FEEDBACK.schema)
    assert migrate(client, "adding", [grown]) == [Change("add column", "feedback", "channel")]
    migrate(client, "adding", [grown])  # may be repeated; the local BigQuery still describes the old table
    rows = client.query("SELECT report_id, channel FROM adding.feedback").result()
    assert [tuple(row.values()) for row in rows] == [("r", None)]


def test_a_view_is_replaced(client: bigquery.Client) -> None:
    for number in (1, 2):
        make(client, "views", [], [ViewSpec("answer", "An answer", f"SELECT {number} AS n")])
    assert [row.n for row in client.query("SELECT n FROM views.answer").result()] == [2]


BREAKING = {
    "a column is dropped": with_columns(*FEEDBACK.schema[1:]),
    "a type changes": with_columns(msgspec.structs.replace(FEEDBACK.schema[0], type="INT64"), *FEEDBACK.schema[1:]),
    "a column becomes required": with_columns(
        *(msgspec.structs.replace(column, mode="REQUIRED") for column in FEEDBACK.schema)
    ),
    "a new column is required": with_columns(*FEEDBACK.schema, msgspec.structs.replace(NEW, mode="REQUIRED")),
    "another partition": msgspec.structs.replace(FEEDBACK, partition_field="received_at"),
}


@pytest.mark.parametrize("spec", BREAKING.values(), ids=BREAKING.keys())
def test_a_breaking_change_is_refused_before_the_first_step(client: bigquery.Client, spec: TableSpec) -> None:
    make(client, "breaking", [FEEDBACK, msgspec.structs.replace(FEEDBACK, name="other")])
    grown = msgspec.structs.replace(with_columns(*FEEDBACK.schema, NEW), name="other")
    with pytest.raises(BreakingChange, match="feedback"):
        migrate(client, "breaking", [grown, spec])
    assert migrate(client, "breaking", [FEEDBACK]) == []
    assert migrate(client, "breaking", [grown], dry_run=True), "nothing was added to the other table"


def test_a_required_column_may_be_relaxed(client: bigquery.Client) -> None:
    modes = {"NULLABLE": "REQUIRED"}
    strict = with_columns(*(msgspec.structs.replace(c, mode=modes.get(c.mode, c.mode)) for c in FEEDBACK.schema))
    make(client, "relaxing", [strict])
    relaxed = [change.kind for change in migrate(client, "relaxing", [FEEDBACK])]
    assert relaxed
    assert set(relaxed) == {"relax column"}
