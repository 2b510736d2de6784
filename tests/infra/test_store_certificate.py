"""The address of the history store works with a certificate as Memorystore signs it, on each Python that we run."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from infra.local.loopback import LOOPBACK, claim_port
from infra.local.processes import ChildProcess, Supervisor
from shared.adapters.valkey.clients import server_url
from tests.functions.test_staged import interpreter

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
TLS = "--port 0 --tls-cert-file store.pem --tls-key-file store.key --tls-ca-cert-file ca.pem --tls-auth-clients no"
PING = """
import sys
sys.path.insert(0, sys.argv[1])
import redis
try:
    print(redis.Redis.from_url(sys.argv[2]).ping())
except redis.ConnectionError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an authority's certificate, and of a store's, which does not name its authority's key."""
    if not SERVER or not shutil.which("openssl"):
        pytest.skip("a store with TLS needs Redis or Valkey, and openssl")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "extensions").write_text("authorityKeyIdentifier=none\nsubjectKeyIdentifier=none\n", "utf-8")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=store -keyout store.key -out store.csr",
        "x509 -req -in store.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile extensions -out store.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    shown = ["openssl", "x509", "-in", "store.pem", "-noout", "-text"]
    assert b"Key Identifier" not in subprocess.run(shown, cwd=folder, check=True, capture_output=True).stdout
    return folder


@pytest.fixture(scope="module")
def address(deployed: dict[str, Any], certificates: Path) -> Iterator[str]:
    """Yield the address that Terraform gives the functions, of a store on this machine."""
    container = deployed["google_cloud_run_v2_service.functions"]["score"]["template"][0]["containers"][0]
    (given,) = [each["value"] for each in container["env"] if each["name"] == "PIX_STATE"]
    port = claim_port(0, "port")

    def ready(_: ChildProcess) -> dict[str, Any] | None:
        with socket.socket() as connection:
            return {} if connection.connect_ex((LOOPBACK, port)) == 0 else None

    command = [str(SERVER), "--bind", LOOPBACK, "--tls-port", str(port), *TLS.split(), "--save", ""]
    with Supervisor() as supervisor:
        supervisor.start(ChildProcess("store", command, log_path=certificates / "log", cwd=certificates, ready=ready))
        local = re.sub(r"//[\d.]+:\d+", f"//{LOOPBACK}:{port}", server_url(given))
        yield re.sub(r"(?<=ssl_ca_certs=)[^&]+(?=/ca\.pem)", str(certificates), local)


def answer(version: str, url: str, folder: Path) -> str:
    """Return the answer to a ping by a version of Python, or the client's error. The client is pure Python."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    (folder / "redis").symlink_to(Path(redis.__file__).parent)
    command = [python, "-I", "-c", PING, str(folder), url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_store_whose_certificate_names_no_key_of_its_authority_answers(
    version: str, address: str, tmp_path: Path
) -> None:
    assert answer(version, address, tmp_path) == "True"


def test_python_by_itself_refuses_such_a_certificate_from_3_13_on(address: str, tmp_path: Path) -> None:
    strict = re.sub(r"&ssl_exclude_verify_flags=\w+", "", address)
    assert strict != address
    assert "Missing Authority Key Identifier" in answer("3.13", strict, tmp_path)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_certificate_of_another_authority_is_refused(version: str, address: str, tmp_path: Path) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=other -keyout other.key -out ca.pem"
    subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    elsewhere = re.sub(r"(?<=ssl_ca_certs=)[^&]+(?=/ca\.pem)", str(tmp_path), address)
    assert "CERTIFICATE_VERIFY_FAILED" in answer(version, elsewhere, tmp_path)
