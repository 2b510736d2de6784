"""What was served is what a replay computes, whatever was delivered twice, late, or out of order."""

import concurrent.futures
import datetime as dt
import json
import random

import pytest

from infra.local.cloud import LocalCloud
from infra.local.simulator import SimulationConfig, simulate
from jobs import skew
from shared.contract.events_file import FEEDBACK, TRANSACTIONS
from tests.builders import push_body
from tests.functions.world import ask, deliver, url

TOPICS = {TRANSACTIONS: "score", FEEDBACK: "label"}
ROUND = 400


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A local cloud that was sent several thousand Pix, badly: see `traffic`."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), pubsub="embedded") as cloud:
        cloud.start_functions()
        for lines in traffic(random.Random(5)):
            with concurrent.futures.ThreadPoolExecutor() as both:
                sent = [
                    both.submit(deliver, url(cloud, name), [push_body(data) for of, data in lines if of == topic])
                    for topic, name in TOPICS.items()
                ]
                assert {status for each in sent for status in each.result()} == {204}
        yield cloud


def traffic(chance):
    """Yield rounds of messages in which a tenth comes late by rounds, and a fifth again, at once or rounds later."""
    config = SimulationConfig(
        end=dt.datetime(2026, 11, 20, tzinfo=dt.UTC), transactions=4_000, days=30, customers=300, fraud_rate=0.06
    )
    places = []
    for place, text in enumerate(simulate(config)):
        line = json.loads(text)
        late = chance.choice([0] * 9 + [chance.randrange(5 * ROUND)])
        places.append((place + late, line["topic"], json.dumps(line["data"]).encode()))
        if chance.random() < 0.2:
            again = chance.choice([0, chance.randrange(5 * ROUND)])
            places.append((place + late + again, *places[-1][1:]))
    places.sort(key=lambda each: each[0])
    for start in range(0, len(places), ROUND):
        lines = [each[1:] for each in places[start : start + ROUND]]
        chance.shuffle(lines)
        yield lines


def result(cloud, capsys, monkeypatch, *arguments):
    """Return the exit code and the last line of a check in this process."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    code = skew.main(list(arguments))
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_what_was_served_is_what_a_replay_computes(served, capsys, monkeypatch):
    code, found = result(served, capsys, monkeypatch, "--all")
    assert (code, found["outcome"], found["features"]) == (0, "EQUAL", {})
    assert found["compared"] == 4_000
    assert found["duplicates"] > 400
    assert found["gaps"] == {"transactions": 0, "ranges": []}
    (reports,) = ask(served, "SELECT COUNT(DISTINCT end_to_end_id) AS n FROM pix.feedback WHERE history_sequence > 0")
    (frauds,) = ask(served, "SELECT COUNT(*) AS n FROM pix.score_events WHERE f_payee_frauds_30d > 0.5")
    assert reports.n > 50 < frauds.n
