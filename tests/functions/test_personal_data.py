"""Tax ids, accounts, keys and devices: none that was sent is in a table, a log, a metric or what a job prints."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from typing import Any

from infra.local.simulator import SimulationConfig, simulate
from jobs import replay, skew
from shared.contract.topics import TRANSACTIONS
from tests.builders import encoded, push_body
from tests.functions.world import ask, deliver, led_to

WORLD = SimulationConfig(
    end=dt.datetime(2026, 11, 20, tzinfo=dt.UTC), transactions=300, days=20, customers=60, fraud_rate=0.05
)
JOBS = ((skew, ["--all"]), (replay, ["tables", "--state-out", "state.npz"]))


def secrets_of(message: dict[str, Any]) -> set[str]:
    """Return what a transaction says of persons."""
    payer, payee, device = message["payer"], message["payee"], message.get("device") or {}
    named = (payer["tax_id"], payer["account"], payee.get("tax_id"), payee["account"], payee.get("key"))
    return {value for value in (*named, device.get("id")) if value}


def spoilt(message: dict[str, Any], chance: random.Random) -> list[Any]:
    """Return what somebody may send by mistake: personal data where they do not belong.

    A tax id in place of an amount is not among it: nothing tells it from a very large amount.
    """
    secret = chance.choice(sorted(secrets_of(message)))
    field = chance.choice(sorted(message.keys() - {"amount"}))
    return [
        {**message, field: secret},
        {**message, field: {secret: secret}},
        {**message, secret: secret},
        {**message, "payer": {**message["payer"], secret: 1}},
        {**message, "amount": f"R$ {secret}"},
        {secret: message},
        [secret],
        secret,
    ]


class Found(Exception):
    """Personal data are where they must not be."""


def search(secrets: set[str], place: str, text: str) -> None:
    """Raise Found if any is in the text; short numbers count only where they stand alone."""
    alone = set(re.findall(r"(?<![\w.])\d+(?![\w.])", text))
    found = [secret for secret in secrets if secret in alone or (len(secret) > 9 and secret in text)]
    if found:
        raise Found(f"{place}: {len(found)}, such as {found[0]}")


def test_a_full_run_leaves_no_personal_data_anywhere(cloud, started, collector, tmp_path, monkeypatch, capfd):
    chance, secrets = random.Random(3), set()
    bodies: dict[str, list[bytes]] = {"score": [], "label": []}
    for line in map(json.loads, simulate(WORLD)):
        message = line["data"]
        if line["topic"] != TRANSACTIONS:
            bodies["label"].append(push_body(encoded(message)))
            continue
        secrets |= secrets_of(message)
        bodies["score"].append(push_body(encoded(message)))
        if chance.random() < 0.2:
            wrong = spoilt(message, chance)
            bodies["score"] += [push_body(encoded(each)) for each in wrong] + [encoded(message), encoded(wrong[-1])]
            bodies["label"].append(push_body(encoded(message)))
    assert len(secrets) > 100
    instances = [started(name, PIX_LOG_SECONDS="0") for name in bodies]
    for instance in instances:
        assert set(deliver(instance.address, bodies[instance.name])) == {204}
        assert instance.terminate()[0] == 0

    search(secrets, "metrics", "".join(map(str, collector.requests)))
    for path in [*cloud.home.glob("*.log"), *(instance.log for instance in instances)]:
        search(secrets, path.name, path.read_text())
    for name in (table.table_id for table in cloud.bigquery().list_tables(cloud.settings.dataset)):
        rows = ask(cloud, f"SELECT * FROM pix.{name}")
        search(secrets, name, "\n".join(str(list(row.values())) for row in rows))
    monkeypatch.chdir(tmp_path)
    for job, arguments in JOBS:
        with led_to(cloud):
            assert job.main(arguments) in {0, 1}  # it may find that what was sent twice was not the same
        said = capfd.readouterr()
        assert said.out + said.err
        search(secrets, job.__name__, said.out + said.err)
    assert len(ask(cloud, "SELECT DISTINCT reason FROM pix.quarantine")) > 3
    assert len(collector.requests) == len(instances)


def test_the_search_finds_what_it_should():
    """Otherwise the test above could not fail."""
    for text in ('{"a":"90817263"}', "payer 90817263 x", "['90817263']", "x39053344705y"):
        try:
            search({"90817263", "39053344705"}, "here", text)
        except Found:
            continue
        raise AssertionError(text)
    search({"90817263"}, "here", "0.90817263 1795185126908172 a90817263b")
