"""`jobs.compare` over a local BigQuery and Cloud Storage, as a command: what it reads of a day under test."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import make
from jobs import compare
from jobs.cli import wiring
from shared.adapters.bigquery.query import BigQueryQueries
from shared.contract import tables as contract
from shared.contract.measures import FORETOLD
from shared.learning.contest.contest_sql import ContestSql
from shared.learning.contest.paired import ACCOUNTS
from shared.learning.lifecycle.pointer import publish, read_pointer, write_pointer
from shared.learning.probation.rows import ProbationRows
from shared.scoring.bundle import Pointer
from shared.scoring.challenge import Challenge, Mode
from shared.scoring.rules import Rules
from shared.settings import Settings
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery, storage_client
from tests.contract.rows import Field, Writer
from tests.contract.test_health import DAY, RATED, micros, report
from tests.contract.test_views import REPORTED
from tests.model_keys import signing
from tests.unit.learning.bundles import small_bundle

TRIED = RATED | {
    "payer_id": (Field.TYPE_STRING, False),
    "payee_id": (Field.TYPE_STRING, False),
    "control_probability": (Field.TYPE_DOUBLE, False),
    "challenger_version": (Field.TYPE_STRING, False),
    "challenger_score": (Field.TYPE_DOUBLE, False),
    "challenger_decision": (Field.TYPE_STRING, False),
    "arm": (Field.TYPE_STRING, False),
    "arm_propensity": (Field.TYPE_DOUBLE, False),
}
MINUTES = iter(range(10_000))


def tried(id_: str, champion: str, challenger: str | None, **more: Any) -> dict[str, Any]:
    """Return the row of a Pix in the shadow, which the champion has decided."""
    at = micros(0.5) + next(MINUTES) * 60_000_000
    row: dict[str, Any] = {
        "end_to_end_id": id_,
        "initiated_at": at,
        "published_at": at,
        "scored_at": at,
        "amount": "100.00",
        "side": "PAYER",
        "payer_id": "a" * 32,
        "payee_id": "b" * 32,
        "degraded": False,
        "claim_number": 1,
        "history_sequence": 1,
        "score": 0.4,
        "decision": champion,
        "model_version": "v1",
        "challenger_version": "v2",
        "arm": "CHAMPION",
        "arm_propensity": 1.0,
    }
    scored = {} if challenger is None else {"challenger_score": 0.2, "challenger_decision": challenger}
    return row | scored | more


ROWS = [
    tried("agreed", "APPROVE", "APPROVE"),
    tried("missed", "APPROVE", "HOLD"),
    tried("disputed", "APPROVE", "HOLD"),
    tried("held", "HOLD", "APPROVE"),
    tried("cleared", "HOLD", "APPROVE"),
    tried("drawn", "APPROVE", "REJECT", policy_decision="HOLD", control_probability=0.1),
    tried("unscored", "REJECT", None),
    tried("other", "HOLD", "APPROVE", challenger_version="v9"),
    tried("before", "HOLD", "APPROVE", model_version="v0"),
    tried("late", "HOLD", "APPROVE", initiated_at=micros(1.5)),
    tried("again", "APPROVE", "APPROVE"),
    tried("again", "HOLD", "APPROVE", claim_number=2),  # delivered again: the first decision stands
    tried("lost", "APPROVE", "HOLD", arm_propensity=0.9),
    tried("quiet", "APPROVE", "APPROVE", arm_propensity=0.9),
    tried("caught", "HOLD", "HOLD", arm="CHALLENGER", arm_propensity=0.1, model_version="v2"),
    tried("whole", "HOLD", "HOLD", arm="CHALLENGER", arm_propensity=1.0, model_version="v2"),
]
REPORTS = [report("missed", 3, "FRAUD"), report("cleared", 0.7, "LEGITIMATE"), report("lost", 2, "FRAUD")]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    """A cloud in which v1 serves, v2 is tried in the shadow since DAY, and the jobs of this process work."""
    folder = tmp_path_factory.mktemp("compare")
    objects = folder / "objects"
    with (
        storage_client(objects, folder / "log") as storage,
        local_bigquery(folder / "state", objects) as local,
        pytest.MonkeyPatch.context() as patch,
    ):
        for bucket in ("pix-models", "pix-data"):
            storage.create_bucket(bucket)
        make(local.client, "pix", contract.tables())
        for table, fields, rows in (("score_events", TRIED, ROWS), ("feedback", REPORTED, REPORTS)):
            writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
            assert writer.append(rows) == ""
            writer.close()
        environment = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "STORAGE_EMULATOR_HOST": storage.api_endpoint,
            **local.server.addresses,
            **signing(folder),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        models = wiring.blobs(Settings.from_env(environment))
        for version in ("v1", "v2"):
            publish(models, version, small_bundle(version))
        state = read_pointer(models)
        started = DAY.isoformat()
        pointer = Pointer("v1", started, challenge=Challenge("v2", "SHADOW", started, started))
        write_pointer(models, pointer, state)
        yield local


def found(local: LocalBigQuery, mode: Mode, age_days: int | None) -> list[tuple[Any, ...]]:
    """Return arm, decisions and label of the rows of DAY that cost differently."""
    rows = [dict(row) for row in local.client.query(sql(mode).rows(DAY, age_days)).result()]
    assert all("end_to_end_id" not in row and 0 <= row["account"] < ACCOUNTS for row in rows)
    keys = [(row["arm"], row["policy"], row["challenger_decision"], row["known"]) for row in rows]
    return sorted(keys, key=str)


def sql(mode: Mode) -> ContestSql:
    return ContestSql(PROJECT, "pix", 87, "v1", "v2", mode)


def pix(local: LocalBigQuery, mode: Mode, age_days: int | None) -> Counter[tuple[str, str | None]]:
    """Return the numbers of Pix of DAY under the test by arm and label."""
    counted: Counter[tuple[str, str | None]] = Counter()
    for row in local.client.query(sql(mode).totals(DAY, age_days)).result():
        counted[row["arm"], row["known"]] += row["pix"]
    return counted


def test_pairs_are_the_first_decisions_that_differ_with_the_labels_of_the_age(cloud: LocalBigQuery) -> None:
    champion = "CHAMPION"
    assert found(cloud, "SHADOW", 3) == [
        (champion, "APPROVE", "HOLD", "FRAUD"),  # missed
        (champion, "APPROVE", "HOLD", "LEGITIMATE"),  # disputed: nobody has said so yet
        (champion, "HOLD", "APPROVE", "LEGITIMATE"),  # cleared by a reviewer
        (champion, "HOLD", "APPROVE", None),  # held, and not reviewed
        (champion, "HOLD", "REJECT", "LEGITIMATE"),  # drawn by the control group, and paid
    ]
    assert [label for *_, label in found(cloud, "SHADOW", None)] == [None] * 5
    assert found(cloud, "SHADOW", 1)[0][3] == "LEGITIMATE"  # reported later
    assert pix(cloud, "SHADOW", 3) == {(champion, "FRAUD"): 1, (champion, "LEGITIMATE"): 5, (champion, None): 1}


def test_arms_have_what_they_stopped_and_the_frauds_they_let_through(cloud: LocalBigQuery) -> None:
    assert found(cloud, "SHARE", 3) == [
        ("CHALLENGER", "HOLD", "HOLD", None),
        ("CHAMPION", "APPROVE", "HOLD", "FRAUD"),
    ]
    assert pix(cloud, "SHARE", 3) == {
        ("CHAMPION", "FRAUD"): 1,
        ("CHAMPION", "LEGITIMATE"): 1,
        ("CHALLENGER", None): 1,
    }


def test_the_command_looks_and_says_that_it_is_early(
    cloud: LocalBigQuery, capsys: pytest.CaptureFixture[str]
) -> None:
    as_of = (DAY + dt.timedelta(days=1.3)).isoformat()
    results = []
    for _ in range(2):
        assert compare.main(["--as-of", as_of, "--apply"]) == 0
        results.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert results[0] == results[1]
    assert (results[0]["outcome"], results[0]["consequence"]) == ("TOO_FEW", "NONE")
    assert results[0]["foretold"] is not None
    [point] = [dict(row) for row in cloud.client.query("SELECT * FROM pix.health").result()]
    assert (point["measure"], point["day"], point["model_version"], point["segment"]) == (FORETOLD, DAY, "v2", "v1")


def test_probation_counts_first_decisions_by_model_and_bin_without_the_challengers_arm(cloud: LocalBigQuery) -> None:
    period = DAY + dt.timedelta(hours=12), DAY + dt.timedelta(days=1)
    seen = ProbationRows(BigQueryQueries(cloud.client), PROJECT, "pix", Rules.load()).read("v1", period, [0.1, 0.4])
    assert (seen.decided, seen.own, seen.alerts, seen.counts) == (12, 11, 5, [0, 11, 0])
    [(side, sums)] = seen.rejects.items()
    assert side == "PAYER"
    assert sums.good == pytest.approx(11 * 0.6)
    assert sums.good_rejected == pytest.approx(0.6)
