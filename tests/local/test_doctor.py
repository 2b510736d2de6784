"""The doctor finds the parts of the local cloud and the cost of each missing one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import doctor
from infra.local.doctor import Finding, examine
from infra.local.loopback import free_port

ROOT = Path(__file__).parents[2]


def findings(home: Path, environment: dict[str, str] | None = None, **ports: int) -> dict[str, Finding]:
    found = examine({"PATH": "/nowhere"} if environment is None else environment, home, ports)
    return {finding.part: finding for finding in found}


def test_nothing_essential_is_missing_here(tmp_path: Path) -> None:
    assert not [finding for finding in findings(tmp_path, state=free_port()).values() if finding.fatal]


def test_a_port_in_use_is_fatal_and_its_option_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = findings(tmp_path, bigquery_grpc=port)["Ports"]
    assert ports.fatal
    assert str(port) in ports.found
    assert "--bigquery-grpc-port 0" in ports.cost


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert findings(tmp_path / "file" / "cloud")["Folder"].fatal


def test_a_missing_store_of_history_is_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_server", lambda _kind: None)
    missing = findings(tmp_path)["Valkey or Redis"]
    assert missing.fatal
    assert "install" in missing.cost


def test_a_missing_package_is_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("not_installed_here",))
    assert findings(tmp_path)["Packages"].fatal


def test_little_memory_and_disk_are_no_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MEMORY_GIB", 1e9)
    monkeypatch.setattr(doctor, "DISK_GIB", 1e9)
    found = findings(tmp_path)
    for part in ("Memory", "Disk"):
        assert found[part].cost
        assert not found[part].fatal


@pytest.mark.parametrize("part", ["Java", "gcloud", "bq"])
def test_a_missing_program_has_a_cost(tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = findings(tmp_path)[part]
    assert missing.found == "not found"
    assert missing.cost
    assert not missing.fatal


def test_values_of_variables_are_not_shown(tmp_path: Path) -> None:
    found = findings(tmp_path, {"http_proxy": "http://user:secret@proxy", "MLFLOW_TRACKING_PASSWORD": "secret"})
    assert "http_proxy" in found["Proxies"].found
    assert "MLFLOW_TRACKING_PASSWORD" in found["Variables of real servers"].found
    assert "secret" not in str(found)


@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_the_table_is_printed_in_any_locale(variables: dict[str, str]) -> None:
    command = [sys.executable, "-m", "infra.local.doctor"]
    shown = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode in (0, 1), shown.stderr  # a developer's local cloud may hold the default ports
    assert shown.stderr == ""
    assert "The local cloud can" in shown.stdout.splitlines()[-1]
