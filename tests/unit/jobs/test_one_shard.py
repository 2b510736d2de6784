"""Jobs that read the tables refuse a history of several shards, whose places have an order for each."""

from __future__ import annotations

import pytest

from jobs import replay, skew, snapshot
from shared.settings import LOCAL_HMAC_KEY

MAINS = {
    "skew": lambda: skew.main(["--all"]),
    "snapshot": lambda: snapshot.main([]),
    "replay": lambda: replay.main(["tables", "--state-out", "state.npz"]),
}


@pytest.mark.parametrize("name", MAINS)
def test_a_job_that_reads_the_tables_refuses_several_shards(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in {
        "GOOGLE_CLOUD_PROJECT": "bank",
        "PIX_HMAC_KEY": LOCAL_HMAC_KEY,
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:1",
        "PIX_STATE_SHARDS": "3",
    }.items():
        monkeypatch.setenv(variable, value)
    assert MAINS[name]() != 0
    assert "several shards" in capsys.readouterr().out
