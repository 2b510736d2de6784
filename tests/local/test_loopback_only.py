"""No web page and no other machine's name reaches the local servers."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from infra.local.bigquery.launch import bigquery_server
from infra.local.processes import Supervisor
from infra.local.storage.launch import storage_server

BUCKETS = "/storage/v1/b"
DATASETS = "/bigquery/v2/projects/bank/datasets"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a local Cloud Storage."""
    home = tmp_path_factory.mktemp("storage")
    server = storage_server(home, home / "objects")
    with Supervisor() as supervisor:
        supervisor.start(server.child)
        yield server.url


@pytest.fixture(scope="module")
def bigquery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a local BigQuery."""
    home = tmp_path_factory.mktemp("bigquery")
    server = bigquery_server(home, home / "objects", "bank")
    with Supervisor() as supervisor:
        supervisor.start(server.child)
        yield server.rest_url


def requested(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Return status and text of a response; `Host` replaces the client's own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": urlsplit(url).netloc} | headers).items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:9023"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "192.168.0.7:9023"},
    {"Host": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": "file://"},
]
OWN = [
    {},
    {"Host": "localhost"},
    {"Host": "LOCALHOST:1"},
    {"Host": "[::1]:9023"},
    {"Origin": "http://127.0.0.1:5000"},
    {"Origin": "http://localhost:8888"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_host_or_origin_writes_no_object(storage: str, headers: dict[str, str]) -> None:
    status, text = requested(storage, "POST", BUCKETS, headers, b'{"name": "taken"}')
    assert status == 403
    assert "127.0.0.1" in text
    assert "taken" not in requested(storage, "GET", BUCKETS, {})[1]


@pytest.mark.parametrize("headers", OWN)
def test_loopback_reads_buckets(storage: str, headers: dict[str, str]) -> None:
    assert requested(storage, "GET", BUCKETS, headers)[0] == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_host_or_origin_reads_no_table(bigquery: str, headers: dict[str, str]) -> None:
    assert requested(bigquery, "GET", DATASETS, headers)[0] == 403


@pytest.mark.parametrize("headers", OWN)
def test_loopback_reads_datasets(bigquery: str, headers: dict[str, str]) -> None:
    assert requested(bigquery, "GET", DATASETS, headers)[0] == 200
