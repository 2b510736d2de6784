"""The shell's variables, its proxies and its locale do not reach the local cloud."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.environment import isolate, local_environment, proxies
from infra.local.processes import ChildProcess
from jobs.cli import wiring
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
FOREIGN = {
    "AWS_ACCESS_KEY_ID": "company",
    "BIGQUERY_EMULATOR_HOST": "http://company:9050",
    "CLOUDSDK_CORE_PROJECT": "company",
    "DEBUG": "1",
    "FUNCTION_SIGNATURE_TYPE": "cloudevent",
    "GOOGLE_APPLICATION_CREDENTIALS": "/company.json",
    "GOOGLE_CLOUD_PROJECT": "company",
    "MLFLOW_REGISTRY_URI": "https://mlflow.company",
    "MLFLOW_TRACKING_TOKEN": "company",
    "MLFLOW_TRACKING_URI": "https://mlflow.company",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://company:4318",
    "PIX_STATE": "redis://company",
    "PUBSUB_EMULATOR_HOST": "company:8085",
    "STORAGE_EMULATOR_HOST": "http://company:9023",
}
REGISTER = """
import os
from jobs.cli import wiring
wiring.prepare(os.environ)
import mlflow
from shared.settings import Settings
uri, _ = wiring.tracking(Settings.from_env(os.environ))
mlflow.MlflowClient(uri).create_registered_model("pix-fraud")
print('{"ready": true}', flush=True)
"""


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_no_variable_of_a_real_server_is_passed_on(name: str) -> None:
    assert name not in local_environment({name: FOREIGN[name]}, {})


def test_the_local_addresses_win() -> None:
    environment = local_environment(FOREIGN, {"PIX_STATE": "redis://127.0.0.1:1"})
    assert "company" not in " ".join(environment.values())
    assert environment["PIX_STATE"] == "redis://127.0.0.1:1"


def test_paths_of_installed_programs_are_kept() -> None:
    assert local_environment({"CLOUDSDK_ROOT_DIR": "/opt/sdk"}, {})["CLOUDSDK_ROOT_DIR"] == "/opt/sdk"


def test_tests_have_no_variable_of_a_real_server() -> None:
    code = "import tests.conftest, os; print(*os.environ.values())"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | FOREIGN, cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert printed.stdout
    assert "company" not in printed.stdout


def test_isolating_removes_variables_from_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    isolate()
    assert not set(FOREIGN) & set(os.environ)


def test_a_model_is_registered_in_the_local_mlflow_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company, local = tmp_path / "company.db", tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{company}")
    addresses = {"GOOGLE_CLOUD_PROJECT": "pix-local", "MLFLOW_TRACKING_URI": f"sqlite:///{local}"}
    child = ChildProcess(
        "job", [sys.executable, "-c", REGISTER], log_path=tmp_path / "job.log", env=addresses, cwd=ROOT
    )
    child.start()
    try:
        child.wait_ready()
    finally:
        child.stop()
    assert local.exists()
    assert not company.exists()


PROXIES = [
    {"http_proxy": "http://127.0.0.1:9", "no_proxy": "bank.internal"},
    {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""},
    {"HTTPS_PROXY": "http://127.0.0.1:9"},
    {"all_proxy": "socks5://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"},
    {"http_proxy": "socks5h://127.0.0.1:9"},
    {"grpc_proxy": "http://127.0.0.1:9", "no_grpc_proxy": "bank.internal"},
]
CLIENTS = """
import http.server, sys, threading, urllib.request
from concurrent import futures
import grpc, httpx, requests
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments): pass
web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=web.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{web.server_port}/"
assert urllib.request.urlopen(url, timeout=30).status == 200
assert requests.get(url, timeout=30).status_code == 200
assert httpx.get(url, timeout=30).status_code == 200
server = grpc.server(futures.ThreadPoolExecutor(1))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
grpc.channel_ready_future(grpc.insecure_channel(f"127.0.0.1:{port}")).result(timeout=30)
server.stop(None)
"""


@pytest.mark.parametrize("variables", PROXIES, ids=lambda variables: " ".join(variables))
def test_every_client_reaches_loopback_without_the_proxy(variables: dict[str, str]) -> None:
    base = {name: value for name, value in os.environ.items() if name not in proxies(os.environ)}
    environment = local_environment(base | variables, {})
    subprocess.run([sys.executable, "-c", CLIENTS], env=environment, check=True, timeout=120)


def test_hosts_that_bypassed_the_proxy_still_do() -> None:
    environment = local_environment({"http_proxy": "http://proxy", "NO_PROXY": "a.bank", "no_proxy": "b.bank"}, {})
    assert environment["no_proxy"] == environment["NO_PROXY"] == "b.bank,a.bank,127.0.0.1,localhost,::1"


class TestUserWithoutAName:
    """A container runs under an id that has neither a name nor a home directory."""

    @pytest.fixture(autouse=True)
    def _unknown_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(uid: int) -> pwd.struct_passwd:
            raise KeyError(f"getpwuid(): uid not found: {uid}")

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
            monkeypatch.setenv(name, "")  # also restores one that is absent now
            monkeypatch.delenv(name)

    def test_the_ledger_names_the_id(self) -> None:
        wiring.prepare(os.environ)
        assert wiring.actor(Settings(project="bank")) == f"uid-{os.getuid()}"

    def test_home_exists(self) -> None:
        wiring.prepare(os.environ)
        assert Path.home().is_dir()

    @pytest.mark.parametrize("home", [{}, {"HOME": ""}])
    def test_the_local_cloud_has_a_home(self, home: dict[str, str]) -> None:
        assert Path(local_environment(home, {})["HOME"]).is_dir()
