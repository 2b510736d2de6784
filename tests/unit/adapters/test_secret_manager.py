"""Secrets that the environment of a process names are read from Secret Manager, and never told by an error."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from shared.adapters.secret_manager import SecretVersions, revealed
from shared.errors import Misconfigured, Unavailable

KEY = "projects/p/secrets/pix-hmac-key/versions/7"
SECRET = "the.shards.key"
ANSWERS = {
    KEY: (200, json.dumps({"name": KEY, "payload": {"data": base64.b64encode(SECRET.encode()).decode()}})),
    "gone": (404, ""),
    "forbidden": (403, ""),
    "away": (503, ""),
    "spoilt": (200, json.dumps({"payload": {"data": f"{SECRET}!"}})),
    "empty": (200, "{}"),
}


@pytest.fixture
def secrets() -> Iterator[SecretVersions]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = ANSWERS[self.path.removeprefix("/v1/").removesuffix(":access")]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, requests.Session() as session:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield SecretVersions(session, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_a_value_that_names_a_secret_is_replaced_and_the_others_stay(secrets: SecretVersions) -> None:
    given = {"PIX_HMAC_KEY": f"secret://{KEY}", "PIX_DATASET": "pix"}
    assert revealed(given, lambda: secrets) == {"PIX_HMAC_KEY": SECRET, "PIX_DATASET": "pix"}
    assert given["PIX_HMAC_KEY"] == f"secret://{KEY}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gone", Misconfigured),
        ("forbidden", Misconfigured),
        ("away", Unavailable),
        ("spoilt", Unavailable),
        ("empty", Unavailable),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_and_not_told(
    secrets: SecretVersions, name: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as raised:
        secrets.read(name)
    assert str(raised.value).startswith(f"{name}: ")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
