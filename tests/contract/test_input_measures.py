"""Inputs of a day over local BigQuery and Cloud Storage: counted by bin, told to the ledger, and explained."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from infra.deploy.migrate import make
from jobs import explain_drift, monitor
from jobs.cli import wiring
from shared.contract import tables as contract
from shared.contract.cause import CAUSE, CauseRecord
from shared.contract.event import EPOCH, micros
from shared.contract.fields import NOBODY
from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.profile import read_profile
from shared.learning.lifecycle.pointer import publish
from shared.learning.monitoring.day_inputs import PublisherInputs, count_day, read_day
from shared.scoring.bundle import POINTER, Pointer
from shared.settings import Settings
from tests.contract.local_servers import PROJECT, local_bigquery, storage_client
from tests.contract.rows import Field, Writer
from tests.model_keys import signing
from tests.unit.learning.bundles import NAMES, small_bundle

DAYS, ROWS = 6, 400
FIRST = dt.datetime(2026, 8, 3, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LAST = FIRST + (DAYS - 1) * DAY
PUBLISHERS = ("11111111", "22222222")
TEXT, NUMBER = (Field.TYPE_STRING, False), (Field.TYPE_DOUBLE, False)
SCORED = {
    **dict.fromkeys(("end_to_end_id", "payer_ispb", "payee_ispb", "decision", "model_version", "side"), TEXT),
    **dict.fromkeys(("initiation_form", "purpose", "amount"), TEXT),
    **dict.fromkeys(("initiated_at", "scored_at", "published_at", "history_sequence"), (Field.TYPE_INT64, False)),
    **dict.fromkeys(("late", "degraded"), (Field.TYPE_BOOL, False)),
    **dict.fromkeys(("score", *(FEATURE_PREFIX + name for name in NAMES)), NUMBER),
}


def values(day: int) -> NDArray[np.float64]:
    """Return the inputs of a day's rows: some missing, and on the last day the first of a publisher far away."""
    found = np.random.default_rng(day).normal(size=(ROWS, len(NAMES))).round(2)
    found[::7, 1] = np.nan
    if day == DAYS - 1:
        found[1::2, 0] += 4.0
    return found


def rows_of(day: int) -> list[dict[str, Any]]:
    rows = []
    for number, own in enumerate(values(day)):
        at = micros(FIRST + day * DAY + number * dt.timedelta(minutes=3))
        features = {FEATURE_PREFIX + name: float(one) for name, one in zip(NAMES, own, strict=True) if one == one}
        rows.append(
            {
                "end_to_end_id": f"E{day:03d}{number:05d}",
                "payer_ispb": PUBLISHERS[number % 2],
                "payee_ispb": "33333333",
                "decision": "APPROVE",
                "model_version": "v1",
                "side": "PAYER",
                "initiation_form": "OTHER" if number == 0 else "DICT",
                "purpose": "IPAY",
                "amount": f"{10 + number}.00",
                **dict.fromkeys(("initiated_at", "scored_at", "published_at"), at),
                "history_sequence": number + 1,
                "late": False,
                "degraded": False,
                "score": score(own),
                **features,
            }
        )
    return [*rows, rows[0] | {"payer_ispb": NOBODY, "end_to_end_id": "E1"}]


def score(own: NDArray[np.float64]) -> float:
    return float(1 / (1 + np.exp(-np.nansum(own))))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A cloud with a champion and some days of rows, which jobs find in the environment."""
    folder = tmp_path_factory.mktemp("inputs")
    with (
        storage_client(folder / "objects", folder / "log") as storage,
        local_bigquery(folder / "state", folder / "objects") as (server, client),
        pytest.MonkeyPatch.context() as patch,
    ):
        for bucket in ("pix-models", "pix-data"):
            storage.create_bucket(bucket)
        make(client, "pix", contract.tables())
        writer = Writer(server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/score_events", SCORED)
        assert [writer.append(rows_of(day)) for day in range(DAYS)] == [""] * DAYS
        writer.close()
        environment = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "STORAGE_EMULATOR_HOST": storage.api_endpoint,
            **server.addresses,
            **signing(folder),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        found = Settings.from_env(environment)
        blobs = wiring.blobs(found)
        publish(blobs, "v1", small_bundle("v1", as_of=FIRST.isoformat()))
        blobs.write(POINTER, msgspec.json.encode(Pointer("v1", FIRST.isoformat())), 0)
        yield found


@pytest.fixture(scope="module")
def monitored(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Measure the days with limits that three earlier ones are enough for; return the rows of health."""
    impatient = tmp_path_factory.mktemp("config") / "config.yaml"
    shipped = Path(monitor.__file__).with_name("config.yaml").read_text("utf-8")
    impatient.write_text(shipped.replace("movements_min: 14", "movements_min: 3"), "utf-8")
    as_of = (LAST + 1.3 * DAY).isoformat()
    with contextlib.redirect_stdout(io.StringIO()):
        assert monitor.main(["--as-of", as_of, "--days", str(DAYS), "--config", str(impatient)]) == 0
    return stored(settings)


def stored(settings: Settings) -> list[dict[str, Any]]:
    sql = contract.measured(settings.project, settings.dataset)
    return [dict(row) for row in wiring.queries(settings).rows(sql, {"since": FIRST})]


def test_counts_in_bigquery_are_those_in_memory(settings: Settings, monitored: object) -> None:
    assert monitored
    kept = read_day(wiring.data(settings), LAST)
    assert kept is not None
    features = np.full((ROWS, len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    features[:, : len(NAMES)] = values(DAYS - 1)
    publishers = [PUBLISHERS[number % 2] for number in range(ROWS)]
    scores = np.array([score(own) for own in values(DAYS - 1)])
    profile = read_profile(wiring.blobs(settings), "v1")
    amounts, forms = np.arange(10, 10 + ROWS, dtype=np.float64), ["OTHER", *["DICT"] * (ROWS - 1)]
    same = count_day(LAST, "v1", profile, kept.anchors, features, publishers, scores, amounts, forms)
    coded = same.publishers[PUBLISHERS[0]]
    expected = same.publishers | {PUBLISHERS[0]: PublisherInputs(coded.rows, {"initiation_form": 1}, coded.features)}
    assert kept.publishers == expected
    assert kept.cells == same.cells


def test_health_has_the_inputs_and_publishers_apart(monitored: list[dict[str, Any]]) -> None:
    last = {(row["measure"], row["segment"]): row["value"] for row in monitored if row["day"] == LAST}
    assert last["input_missing", NAMES[1]] == pytest.approx(len(range(0, ROWS, 7)) / ROWS)
    assert last["input_psi", NAMES[0]] > 3 * last["input_psi", NAMES[2]]
    assert last["input_weighted", NAMES[0]] > 5 * last["input_weighted", NAMES[2]]
    assert last["publisher_weighted", f"{NAMES[0]} {PUBLISHERS[1]}"] > last["input_weighted", NAMES[0]]
    assert last["unseen_codes", f"initiation_form {PUBLISHERS[0]}"] == pytest.approx(2 / ROWS)


def test_the_move_of_one_publisher_is_an_alert_and_no_reason_to_train(settings: Settings, monitored: object) -> None:
    assert monitored
    rows = wiring.ledger(settings).rows(EPOCH)
    assert [(row.action, row.to_version, row.as_of) for row in rows] == [("FEATURE_DRIFT", "v1", micros(LAST + DAY))]
    assert f"{NAMES[0]} of {PUBLISHERS[1]}" in rows[0].reason


def test_a_day_is_explained_and_recorded(settings: Settings, monitored: object) -> None:
    assert monitored
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as text:
        assert explain_drift.main([f"{LAST:%Y-%m-%d}", "--record"]) == 0
    found = json.loads(printed.getvalue())
    assert (found["outcome"], found["number"], found["sampled"]) == ("EXPLAINED", ROWS, ROWS)
    [first, *_] = found["causes"]
    assert (first["source"], first["publisher"]) == ("amount", PUBLISHERS[1])
    assert f"1. amount, of {PUBLISHERS[1]}" in text.getvalue()
    [row] = [row for row in stored(settings) if row["measure"] == CAUSE]
    record = msgspec.json.decode(row["segment"], type=CauseRecord)
    assert (record.rank, record.source, record.publisher) == (1, "amount", PUBLISHERS[1])
    assert set(record.examples) <= {f"E{DAYS - 1:03d}{number:05d}" for number in range(1, ROWS, 2)}


def test_a_day_without_rows_is_nothing_to_explain(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert settings
    assert explain_drift.main(["2026-01-01"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "NOTHING_TO_DO"
