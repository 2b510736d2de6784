"""`jobs.packet` over a local BigQuery, as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import packet
from tests.contract.local_servers import PROJECT, LocalBigQuery
from tests.contract.test_desk_rows import MULE, VICTIM, id_of, local
from tests.unit.desk.documents import outside_resources, section

__all__ = ["local"]
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(local: LocalBigQuery, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the job; return its exit code and its result."""
    for name, value in {"GOOGLE_CLOUD_PROJECT": PROJECT, **local.server.addresses}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIX_DESK_REVIEW_CONTACT", "encarregado@banco.example")

    def job(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = packet.main(list(arguments))
        return code, json.loads(capsys.readouterr().out)

    return job


def test_the_job_writes_the_document(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, result = run(id_of("held"))
    file = f"packet-{id_of('held')}-PAYER.html"
    assert (code, result["outcome"], result["decision"], result["review"]) == (0, "WRITTEN", "HOLD", "NONE")
    assert result["file"] == file
    html = Path(file).read_text("utf-8")
    assert "Acima do limite noturno entre pessoas naturais" in section(html, "reasons")
    assert VICTIM in section(html, "decision")
    assert MULE not in html
    assert outside_resources(html) == []


def test_reviews_at_the_desk_and_in_another_tool_are_told(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "a.html")
    told = {name: run(id_of(name), "--out", file)[1]["review"] for name in ("judged", "reviewed", "settled")}
    assert told == {"judged": "AWAITING", "reviewed": "CONCLUDED", "settled": "NONE"}


def test_the_payees_side_is_found_without_being_named(run: Run, tmp_path: Path) -> None:
    code, result = run(id_of("blocked"), "--out", str(tmp_path / "a.html"), "--contact", "ouvidoria")
    assert (code, result["side"], result["decision"]) == (0, "PAYEE", "BLOCK")
    html = (tmp_path / "a.html").read_text("utf-8")
    assert "ouvidoria" in section(html, "ask")
    assert "o Pix foi liquidado" in section(html, "outcome")


@pytest.mark.parametrize("arguments", [["no-id"], [id_of("none")], [id_of("held"), "--side", "PAYEE"]])
def test_an_unknown_pix_is_refused(arguments: list[str], run: Run) -> None:
    code, result = run(*arguments)
    assert (code, result["outcome"], result["error"]) == (1, "FAILED", "NoSuchCase")


def test_a_file_that_cannot_be_written_fails(run: Run, tmp_path: Path) -> None:
    code, result = run(id_of("held"), "--out", str(tmp_path))
    assert code == 1
    assert "cannot be written" in result["reasons"][0]


def test_a_missing_contact_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIX_DESK_REVIEW_CONTACT")
    code, result = run(id_of("held"))
    assert (code, result["error"]) == (1, "NoContact")
