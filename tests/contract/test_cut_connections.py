"""A job goes on where all its connections are cut, as Cloud Run cuts those of a job that it moves to another machine.

Cloud Run keeps the memory of such a job (https://docs.cloud.google.com/run/docs/configuring/task-timeout), so jobs of
many hours need no more than clients that connect again.
"""

from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.gcs import GcsBlobs
from shared.adapters.valkey.store import ValkeyStore
from shared.adapters.valkey.wire import LETTERS
from shared.features.layout import LAYOUTS
from shared.features.places import Place
from shared.features.state import Records, State
from tests.contract.cutting import way_to
from tests.contract.history_stores import SERVERS, store
from tests.contract.local_servers import PROJECT, local_bigquery, storage_client

COUNT = 20_000
"""Records that take several calls."""


def test_the_filling_of_history_goes_on(tmp_path: Path) -> None:
    chance = np.random.default_rng(7)
    first = Records(chance.integers(1, 1 << 62, COUNT, dtype=np.uint64), chance.random((COUNT, LAYOUTS[0].width)))
    state = State((first, *State.empty().tables[1:]), int(Place(3, 70)), State.empty().payers)
    with store(SERVERS[0], tmp_path) as served:
        served.empty()
        assert served.server
        told: list[int] = []
        with (
            way_to(served.server.port) as way,
            closing(ValkeyStore.connect(f"redis://127.0.0.1:{way.port}", 86_400)) as filling,
        ):

            def advance(count: int) -> None:
                told.append(count)
                way.cut()

            filling.load(state, {}, advance)
            assert way.cuts > 1
            assert not filling.is_empty()
        stored = served.run(served.redis.keys(f"*}}{LETTERS[LAYOUTS[0].kind]}*"))
        assert sum(told) == COUNT == len(stored)


def test_models_and_rows_are_read_and_written_again(tmp_path: Path) -> None:
    with storage_client(tmp_path / "buckets", tmp_path / "log") as direct:
        direct.create_bucket("models")
        endpoint = urlsplit(str(direct._connection.API_BASE_URL))
        assert endpoint.port
        with way_to(endpoint.port) as way:
            options = {"api_endpoint": f"http://127.0.0.1:{way.port}"}
            with closing(storage.Client(PROJECT, AnonymousCredentials(), client_options=options)) as client:
                blobs = GcsBlobs(client.bucket("models"))
                generation = blobs.write("models/a", b"one", 0)
                way.cut()
                generation = blobs.write("models/a", b"two", generation)
                way.cut()
                found = blobs.read("models/a")
                assert found == (b"two", generation)
                assert way.cuts >= 2


def test_tables_are_asked_again(tmp_path: Path) -> None:
    with local_bigquery(tmp_path / "state", tmp_path / "objects") as local:
        port = urlsplit(local.server.rest_url).port
        assert port
        with way_to(port) as way:
            options = {"api_endpoint": f"http://127.0.0.1:{way.port}"}
            with bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options) as client:
                queries = BigQueryQueries(client)
                for number in range(3):
                    assert queries.rows("SELECT @n AS n", {"n": number}) == [{"n": number}]
                    way.cut()
                assert way.cuts >= 3
