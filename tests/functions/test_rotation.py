"""The HMAC key changes under traffic: what was known of an account before is known after, and nothing counts twice.

A second world has the same messages under one key for good, in tables and a history of its own.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from infra.deploy.migrate import make
from infra.local.cloud import LocalCloud
from jobs import erase, fill, repair, rotate, skew, snapshot
from jobs.cli import history_wiring
from shared.contract import tables
from shared.contract.pseudonyms import PERSON, Pseudonymiser
from shared.settings import LOCAL_HMAC_KEY, Settings
from tests.builders import encoded, med_report, outcome, push_body, transaction
from tests.functions.instance import Instance
from tests.functions.world import ask, deliver

FIRST, SECOND, FOR_GOOD = (
    LOCAL_HMAC_KEY,
    "the key that follows, of forty characters",
    "the key of the other world, for good",
)
TAX_IDS = ("12345678909", "98765432100")
UNKNOWN = "11144477735"
OTHER = "rotation_control"
Result = dict[str, Any]
Message = dict[str, Any]
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def pix(number: int, payer: int, payee: int, hours_ago: float, **changes: Any) -> Message:
    """Return a Pix of one of few accounts of one payer each, some hours ago."""
    at = NOW - dt.timedelta(hours=hours_ago)
    return transaction(
        end_to_end_id=f"E12345678{at:%Y%m%d%H%M}{number:011d}",
        initiated_at=at.isoformat(),
        amount=f"{20 + number % 7}.00",
        payer__entrepreneur=True,  # no limit of the night, whenever this runs
        payer__account=f"100{payer}",
        payee__account=f"200{payee}",
        payee__key=f"+551199999000{payee}",
        device__id=f"device-{payer}",
        **changes,
    )


def changed(settings: Settings, others: Settings) -> dict[str, str]:
    """Return the variables of other settings that differ."""
    return dict(others.to_env().items() - settings.to_env().items())


def known(features: dict[str, float | None]) -> dict[str, float]:
    """Return the features that are not missing."""
    return {name: value for name, value in features.items() if value is not None}


class Bank:
    """Functions under the settings of a phase, beside the same functions of the world whose key never changes.

    History has `shards` in both; where they are several, all keys have a shard key, the other world another one.
    """

    def __init__(self, cloud: LocalCloud, folder: Path, shards: int) -> None:
        self.cloud, self._folder = cloud, folder
        shard_keys = (f".shards.{'s' * 32}", f".shards.{'t' * 32}") if shards > 1 else ("", "")
        self.first, self.second = f"{FIRST}{shard_keys[0]}", f"{SECOND}{shard_keys[0]}"
        self._never = replace(
            cloud.settings, hmac_key=f"{FOR_GOOD}{shard_keys[1]}", dataset=OTHER, state_shards=shards
        )
        self.settings = replace(cloud.settings, hmac_key=self.first, state_shards=shards)
        self._stack = ExitStack()
        make(cloud.bigquery(), OTHER, tables.tables(), tables.views(cloud.settings.project, OTHER, 87))
        for settings in (self.settings, self._never):
            with closing(history_wiring.history_store(settings, settings.state)) as store:
                if store.is_empty():
                    store.open()
        self._other = self.start(self._never)
        self.functions = self.start(self.settings)

    def start(self, settings: Settings) -> dict[str, str]:
        """Start functions, and return their addresses."""
        own = changed(self.cloud.settings, settings)
        found = {}
        for name in ("score", "outcome", "label"):
            log = self._folder / f"{name}-{len(list(self._folder.iterdir()))}.log"
            instance = Instance(self.cloud, log, name, own)
            self._stack.callback(instance.kill)
            found[name] = instance.address
        return found

    def close(self) -> None:
        self._stack.close()

    def send(self, name: str, message: Message, functions: dict[str, str] | None = None) -> None:
        """Push a message to both worlds."""
        for addresses in (functions or self.functions, self._other):
            assert deliver(addresses[name], [push_body(encoded(message))]) == [204]

    def alone(self, name: str, message: Message) -> list[int]:
        """Deliver a message to the world whose key changes alone."""
        return deliver(self.functions[name], [push_body(encoded(message))])

    @contextmanager
    def led(self, settings: Settings) -> Iterator[None]:
        """Point jobs at a world."""
        with patch.dict(os.environ, {**self.cloud.environment, **changed(self.cloud.settings, settings)}):
            yield

    def scored(self, messages: Sequence[Message], dataset: str = "pix") -> list[Any]:
        ids = [each["end_to_end_id"] for each in messages]
        return ask(
            self.cloud, f"SELECT * FROM {dataset}.scores WHERE end_to_end_id IN UNNEST(@ids) ORDER BY 1", ids=ids
        )

    def check_alike(self, messages: Sequence[Message]) -> None:
        """Check that Pix have the same decisions and features in both worlds, whatever their ids."""
        rows, others = (self.scored(messages, dataset) for dataset in ("pix", OTHER))
        assert len(rows) == len(others) == len(messages)
        for row, other in zip(rows, others, strict=True):
            assert known(row.features) == pytest.approx(known(other.features), rel=1e-6)
            assert (row.decision, row.reasons) == (other.decision, other.reasons)
            assert row.payer_id != other.payer_id


@pytest.fixture(params=[1, 3])
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bank]:
    (logs := tmp_path / "logs").mkdir()
    with LocalCloud(tmp_path / "cloud", pubsub="embedded", state_pause_seconds=0.1) as cloud:
        found = Bank(cloud, logs, request.param)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def run(bank: Bank, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a job under the settings of the phase, and return its result."""

    def result(job: ModuleType, *arguments: str, settings: Settings | None = None) -> Result:
        capsys.readouterr()
        with bank.led(settings or bank.settings):
            code = job.main(list(arguments))
        found: Result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert code == 0, found
        return found

    return result


REPAIR = ("--settle", "0", "--days", "30")


def test_history_outlives_its_key(bank: Bank, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def erased(settings: Settings) -> Result:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{TAX_IDS[0]}\n"))
        return run(erase, "--dry-run", settings=settings)

    first = bank.settings
    before = [pix(n, n % 3, n % 2, 60 - n) for n in range(9)]
    for each in before:
        bank.send("score", each)

    bank.settings = collecting = replace(first, hmac_key_next=bank.second)
    bank.functions = draining = bank.start(collecting)
    both = [pix(20 + n, n % 3, (n + 1) % 2, 40 - n) for n in range(9)]
    for each in both[:6]:
        bank.send("score", each)
    backfilled = run(rotate, "backfill", "--older-than", "0")
    assert (backfilled["outcome"], backfilled["score_events"], backfilled["without_pair"]) == ("BACKFILLED", 9, 0)
    taken = run(snapshot, "--lag", "0")
    ahead = [each["snapshot"] for each in taken["under_next_key"]]
    assert not {each["snapshot"] for each in taken.get("shards", [taken])} & {*ahead}
    for each in both[6:]:
        bank.send("score", each)
    bank.send("label", med_report(both[0]["end_to_end_id"], reported_at=(NOW - dt.timedelta(hours=1)).isoformat()))
    marker = {
        "source": "FRAUD_MARKER",
        "report_id": "m-1",
        "tax_id": TAX_IDS[1],
        "status": "REGISTERED",
        "fraud_type": "MULE_ACCOUNT",
        "reported_at": (NOW - dt.timedelta(hours=1)).isoformat(),
    }
    bank.send("label", marker)

    bank.settings = second = replace(first, hmac_key=bank.second, hmac_key_version=2)
    bank.functions = bank.start(second)
    blind = pix(40, 0, 3, 20, payee__tax_id=UNKNOWN)  # nothing is known that would stop it
    bank.send("score", blind)
    [row] = bank.scored([blind])
    assert (row.history_sequence, row.degraded) == (None, True), "the history under the new key is empty"
    repaired = run(repair, *REPAIR)
    assert (repaired["outcome"], repaired["rebuilt"]["snapshots"]) == ("REBUILT", ahead)
    assert repaired["filled"] == {"decisions": 1, "outcomes": 0, "reports": 0, "left": 0}
    stored = bank.scored([*before, *both, blind])
    assert {bank.alone("score", each)[0] for each in (*before, *both, blind)} == {204}
    assert bank.scored([*before, *both, blind]) == stored, "the first decision stands"
    [counted] = ask(bank.cloud, "SELECT COUNT(*) AS n FROM pix.score_events")
    assert counted.n == len(stored), "what had its row was not written again"

    late = pix(41, 1, 0, 10)
    bank.send("score", late, draining)  # by an instance of before the switch that has not ended yet
    assert run(repair, *REPAIR)["filled"]["decisions"] == 1
    fraud = med_report(before[0]["end_to_end_id"], report_id="r-2", reported_at=NOW.isoformat())
    bank.send("label", fraud)
    returned = {"status": "RETURNED", "at": NOW.isoformat(), "reason": "FR01", "amount": "10.00"}
    id_ = both[1]["end_to_end_id"]
    bank.send("outcome", outcome(id_, return_id=f"D{id_[1:]}", **returned))
    assert run(fill)["late"] == {"counted": 1, "left": 0}, "the history under the new key has no life of its Pix"
    after = [pix(50 + n, n % 3, n % 2, 3 - n / 10) for n in range(6)]
    for each in after:
        bank.send("score", each)
    everything = [*before, *both, blind, late, *after]
    decisions = [[each.decision for each in bank.scored(everything, dataset)] for dataset in ("pix", OTHER)]
    assert decisions[0] == decisions[1]
    bank.check_alike(after)
    [row] = bank.scored(after[:1])
    assert row.features["payee_frauds_known"] > 0.5, "it was paid before the next key was known"
    assert (row.features["owner_markers"], row.features["new_pair"]) == (1, 0)
    assert erased(second)["score_events"] == len(everything)
    audited = run(skew, "--all")
    assert (audited["outcome"], audited["compared"], audited["counted_twice"]) == ("EQUAL", len(everything), 0)
    assert audited["skipped"]["without_history"] == 0

    finished = run(rotate, "finish", "--older-than", "0")
    assert (finished["rows"]["outcome"], finished["rows"]["left"], finished["forgotten"] > 0) == ("FINISHED", 0, True)
    people = {Pseudonymiser(bank.second.encode()).pseudonym(PERSON, each) for each in (*TAX_IDS, UNKNOWN)}
    columns = "payer_person_id, payee_person_id, next_hmac_key, hmac_key_version"
    rows = ask(bank.cloud, f"SELECT DISTINCT {columns} FROM pix.score_events")
    assert {id_ for row in rows for id_ in (row.payer_person_id, row.payee_person_id)} == people
    assert {(row.next_hmac_key, row.hmac_key_version) for row in rows} == {(None, 2)}
    assert run(repair, *REPAIR)["outcome"] == "HEALTHY"
    assert run(skew, "--all")["outcome"] == "EQUAL"
    assert erased(second)["score_events"] == len(everything)
    last = pix(60, 0, 0, 1)
    assert bank.alone("score", last) == [204]
    [row] = bank.scored([last])
    assert (row.features["owner_markers"], row.features["new_pair"], row.degraded) == (1, 0, True)
    assert "NO_HISTORY" not in row.reasons
