"""A small demo: exit status 0 if nothing was lost and a swap under load served rows from both models."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.home import read_marker
from infra.local.simulator import SimulationConfig, simulate
from tests.builders import transaction
from tests.waiting import PATIENCE

END = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@pytest.mark.timeout(1200)
def test_an_event_file_goes_through_the_full_loop(tmp_path: Path) -> None:
    home = tmp_path / "world"
    config = SimulationConfig(end=END, transactions=40_000, days=120, seed=5, fraud_rate=0.04, labels_until=END)
    lines = list(simulate(config))
    spoilt = transaction() | {"amount": "-1.00"}
    lines.append(json.dumps({"topic": "pix-transactions", "data": spoilt}).encode() + b"\n")
    duplicate = next(line for line in reversed(lines[:-1]) if b'"pix-transactions"' in line)
    lines.append(duplicate)
    events = tmp_path / "events.ndjson"
    events.write_bytes(b"".join(lines))
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.demo", "--home", str(home), "--events", str(events), "--live", "600"],
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    table = {
        row.split("│")[1].strip(): row.split("│")[2].strip()
        for row in done.stdout.splitlines()
        if row.count("│") == 3
    }
    assert table["transactions published"] == "600"
    assert table["scored (rows of pix.scores)"] == "598"  # one was malformed, one was sent twice
    assert table["malformed published / in quarantine"] == "1 / 1"
    assert (table["lost"], table["duplicated in a view"]) == ("0", "0")
    outcomes, lost = table["outcomes published / lost"].replace(",", "").split(" / ")
    settled, returned = table["settled / returned (pix.life)"].replace(",", "").split(" / ")
    assert (int(outcomes) > 500, lost) == (True, "0")
    assert 300 < int(settled) < 598  # rejected Pix, and a part of the held ones, never settle
    assert int(returned) > 0
    paid, held = table["control group: paid / held"].split(" / ")
    assert (" for BRL " in paid, held.isdigit()) == (True, True)
    turned_away, good = table["good Pix rejected by a model"].split(" (")[0].replace(",", "").split(" of ")
    assert (int(turned_away) <= 0.002 * int(good), int(good) > 400) == (True, True), "the shipped ceiling on rejects"
    assert not table["traced"].startswith("none"), "a root with later hops, whether or not its money came back"
    assert any(name.startswith("swap under load") for name in table)
    both, _ = table["model of before in the shadow"].split(" scored by both, ")
    assert (int(both) > 0, table["compared with the one that serves"]) == (True, "TOO_FEW")
    began = "drill: to show a swap under load" in done.stdout  # only where the gate refused the second model
    assert began == ("end of drill: " in done.stdout) == ("swap under load (drill)" in table)
    assert "<html" in (home / "card.html").read_text()
    marker = read_marker(home)
    assert marker is not None
    assert 0 < marker.maturity_days < 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.ndjson", "world"]


def test_an_invalid_event_file_is_refused_with_its_line(tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"topic": "pix-transactions", "data": {}}\n{"topic": "birds"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.demo", "--home", str(tmp_path / "world"), "--events", str(events)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "line 2" in done.stdout
