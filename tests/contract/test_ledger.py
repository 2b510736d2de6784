"""The port Ledger as both adapters keep it: in memory, and BigQuery behind the official clients."""

import datetime as dt
from collections.abc import Iterator

import msgspec
import pytest

from infra.deploy.migrate import make
from jobs.cli import wiring
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.memory.learning import MemoryLedger
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import Misconfigured
from shared.learning.ports import Ledger
from shared.settings import Settings
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery

AT = dt.datetime(2026, 11, 20, 14, 32, 5, 123456, tzinfo=dt.UTC)
WHOLE = LedgerRow(
    recorded_at=micros(AT),
    action="SWAP",
    actor="me",
    reason='it\'s "cheaper"; by R$ 1',
    from_version="v1",
    to_version="v2",
    run_id="r",
    dataset_hash="h",
    metrics='{"auc":0.9}',
    trigger="drift",
    as_of=micros(AT) - 1,
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("ledger")
    with local_bigquery(state, state) as running:
        yield running


@pytest.fixture(params=["memory", "bigquery"])
def ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    server, client = request.getfixturevalue("local")
    make(client, "pix", contract.tables())
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.rest_url)
    settings = Settings(
        PROJECT, bigquery_emulator_host=server.rest_url, bigquery_storage_emulator_host=server.grpc_endpoint
    )
    return wiring.ledger(settings)


def test_rows_are_read_complete_in_order_and_once(ledger: Ledger) -> None:
    bare = LedgerRow(recorded_at=micros(AT) + 5, action="NOTHING_TO_DO", actor="me", reason="")
    old = msgspec.structs.replace(WHOLE, recorded_at=micros(AT) - 1)
    for row in (bare, WHOLE, old, WHOLE):
        ledger.append(row)
    assert ledger.rows(AT) == [WHOLE, bare]
    assert ledger.rows(AT + dt.timedelta(days=1)) == []


def test_a_query_takes_parameters_of_every_type(local: LocalBigQuery) -> None:
    given: dict[str, str | int | float | dt.datetime] = {
        "text": "' OR TRUE --",
        "number": 3,
        "share": 0.5,
        "moment": AT,
    }
    sql = "SELECT @text AS text, @number AS number, @share AS share, @moment AS moment"
    assert BigQueryQueries(local.client).rows(sql, given) == [given]


def test_a_faulty_query_is_misconfigured(local: LocalBigQuery) -> None:
    with pytest.raises(Misconfigured):
        BigQueryQueries(local.client).rows("SELECT * FROM nowhere.nothing", {})


def test_a_row_has_the_columns_of_the_table() -> None:
    assert list(LedgerRow.__struct_fields__) == [column.name for column in contract.table(wiring.LEDGER).schema]
