"""No tax id, account, key or device that was sent is in a table, a log, a metric or the output of a job."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloud import LocalCloud
from infra.local.simulator import SimulationConfig, simulate
from jobs import replay, skew
from shared.contract.topics import OUTCOMES, TRANSACTIONS
from tests.builders import encoded, push_body, transaction
from tests.collector import Collector
from tests.functions.instance import Start
from tests.functions.world import ask, deliver, led_to

END = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
WORLD = SimulationConfig(
    end=END, transactions=300, days=20, customers=60, fraud_rate=0.05, both_sides=0.1, labels_until=END
)
JOBS = ((skew, ["--all"]), (replay, ["tables", "--state-out", "state.npz"]))


DIGITS = 14
"""Of a tax id or key that is a number, as of a CNPJ; an account has 20. Those of the simulator are met by chance."""
CPF_LEFT = 20
"""One tax id in this many keeps the 11 digits of a CPF. A few of these are met by chance once in 10,000 runs."""


def lengthened(message: dict[str, Any]) -> dict[str, Any]:
    """Return a transaction with numbers in place of its own that are too long to be met by chance."""
    parties = {}
    for name in ("payer", "payee"):
        party = dict(message[name])
        party["account"] = number(party["account"], 20)
        for field in ("tax_id", "key"):
            value = party.get(field, "")
            if value.isdecimal() and int(value) % CPF_LEFT:
                party[field] = number(value, DIGITS)
        parties[name] = party
    return {**message, **parties}


def number(value: str, digits: int) -> str:
    """Return a number of that length, always the same for a value."""
    return str(int(hashlib.sha256(value.encode()).hexdigest(), 16))[-digits:]


def secrets_of(message: dict[str, Any]) -> set[str]:
    """Return the personal data of a transaction."""
    payer, payee, device = message["payer"], message["payee"], message.get("device") or {}
    named = (payer["tax_id"], payer["account"], payee.get("tax_id"), payee["account"], payee.get("key"))
    return {value for value in (*named, device.get("id")) if value}


def spoilt(message: dict[str, Any], chance: random.Random) -> list[Any]:
    """Return faulty messages with personal data in the wrong place.

    None has a tax id in place of an amount, as that is also a valid, very large amount.
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
    """Raise Found if any is in the text."""
    found = [secret for secret in secrets if secret in text]
    if found:
        raise Found(f"{place}: {len(found)}, such as {found[0]}")


def deliveries() -> tuple[dict[str, list[bytes]], set[str]]:
    """Return the bodies for each function, valid and faulty, and the personal data in them."""
    chance = random.Random(3)
    secrets: set[str] = set()
    bodies: dict[str, list[bytes]] = {"score": [], "outcome": [], "label": []}
    for line in map(json.loads, simulate(WORLD)):
        message = line["data"]
        if line["topic"] != TRANSACTIONS:
            bodies["outcome" if line["topic"] == OUTCOMES else "label"].append(push_body(encoded(message)))
            continue
        message = lengthened(message)
        secrets |= secrets_of(message)
        bodies["score"].append(push_body(encoded(message)))
        if chance.random() < 0.2:
            wrong = spoilt(message, chance)
            bodies["score"] += [push_body(encoded(each)) for each in wrong] + [encoded(message), encoded(wrong[-1])]
            bodies["label"].append(push_body(encoded(message)))
    return bodies, secrets


def test_a_full_run_leaves_no_personal_data(
    cloud: LocalCloud,
    started: Start,
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bodies, secrets = deliveries()
    assert len(secrets) > 100
    assert {11, DIGITS, 20} <= {len(secret) for secret in secrets if secret.isdecimal()}
    assert min(map(len, secrets)) >= 11, "a shorter one could be met by chance"
    instances = [started(name, PIX_LOG_SECONDS="0") for name in bodies]
    for instance in instances:
        left = bodies[instance.name]
        for _ in range(5):  # a message that comes before its subject is delivered again
            answers = deliver(instance.address, left)
            assert set(answers) <= {204, 503}
            left = [body for body, answer in zip(left, answers, strict=True) if answer == 503]
        assert left == []
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
            assert job.main(arguments) in {0, 1}  # some messages were sent twice with different content
        printed = capfd.readouterr()
        assert printed.out + printed.err
        search(secrets, job.__name__, printed.out + printed.err)
    assert len(ask(cloud, "SELECT DISTINCT reason FROM pix.quarantine")) > 3
    assert len(collector.requests) >= len(instances), "one at the end of each, and one a minute"


def test_the_search_finds_what_it_should() -> None:
    """Otherwise the test above could not fail."""
    secrets = secrets_of(lengthened(transaction()))
    assert len(secrets) == 6
    for secret in secrets:
        for text in (f'{{"a":"{secret}"}}', f"payer {secret} x", f"x{secret}y", f"1{secret}2"):
            with pytest.raises(Found):
                search(secrets, "here", text)
    search(secrets, "here", "0.90817263 1795185126908172 a90817263b")
