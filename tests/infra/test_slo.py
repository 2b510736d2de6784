"""Objectives, the burn of their error budgets, silence, and the lines that are not kept."""

import re
from pathlib import Path
from typing import Any

import pytest

from shared.serving import intake
from shared.telemetry.metrics import MESSAGES, MODEL_CREATED, STAGE
from tests.infra.evaluation import Refused, evaluate
from tests.infra.test_alerts import conditions
from tests.infra.variables import IMAGES

DAYS = 28
HOURS = {"1h": 1.0, "6h": 6.0}
SHORT = {"1h": "5m", "6h": "30m"}


def burns(deployed: dict[str, Any], name: str) -> list[tuple[str, str, float]]:
    """Return (expression, window, threshold) of each comparison of an objective, in order."""
    query = conditions(deployed, "prometheus_query_language")[f"slo_{name}"]["query"]
    found = []
    for comparison in re.split(r" and | or ", query):
        expression, threshold = re.fullmatch(r"\((.*) > ([\d.]+)\)", comparison).groups()
        (window,) = set(re.findall(r"\[(\w+)(?::1m)?\]", expression))
        found.append((expression.replace(f"[{window}", "[W"), window, float(threshold)))
    return found


@pytest.mark.parametrize(("name", "goal"), [("availability", 0.999), ("decision_time", 0.99), ("freshness", 0.99)])
def test_an_alert_fires_once_a_part_of_a_budget_is_gone(deployed: dict[str, Any], name: str, goal: float) -> None:
    compared = burns(deployed, name)
    assert [window for _, window, _ in compared] == ["1h", "5m", "6h", "30m"]
    assert len({expression for expression, _, _ in compared}) == 1
    for long, short, part in ((0, 1, 0.02), (2, 3, 0.05)):
        hours = HOURS[compared[long][1]]
        assert compared[short][1] == SHORT[compared[long][1]]
        assert compared[long][2] == compared[short][2] == pytest.approx(part * DAYS * 24 / hours * (1 - goal))


def test_each_objective_reads_the_metric_of_its_subject(deployed: dict[str, Any]) -> None:
    subjects = {"availability": MESSAGES, "decision_time": STAGE, "freshness": MODEL_CREATED}
    for name, metric in subjects.items():
        for expression, _, _ in burns(deployed, name):
            assert set(re.findall(r'\{"([\w.]+?)(?:_bucket|_count)?"', expression)) == {metric.name}


def test_every_answer_but_an_acknowledgement_uses_up_the_budget(deployed: dict[str, Any]) -> None:
    counted = set(re.findall(r'add\(MESSAGES, [^"]*"(\w+)"', Path(intake.__file__).read_text("utf-8")))
    (expression, *_), *_ = burns(deployed, "availability")
    bad = set(re.findall(r'status=~"([\w|]+)"', expression)[0].split("|"))
    assert counted - bad == {"stored", "quarantined"}
    assert bad <= counted


@pytest.mark.parametrize("seconds", [0.25, 1, 2.5])
def test_decisions_in_time_are_those_of_one_bucket(terraform: str, tmp_path: Path, seconds: float) -> None:
    deployed = evaluate(terraform, tmp_path, {**IMAGES, "slo_decision_seconds": seconds})
    (expression, *_), *_ = burns(deployed, "decision_time")
    (bound,) = re.findall(r'le=~"([^"]*)"', expression)
    assert [each for each in STAGE.bounds if re.fullmatch(bound, f"{each:g}")] == [seconds]
    assert [each for each in STAGE.bounds if re.fullmatch(bound, str(each))] == [seconds]


def test_objectives_that_mean_nothing_are_refused(terraform: str, tmp_path: Path) -> None:
    wrong = {"slo_availability": 1, "slo_decision_seconds": 0.3, "alert_silent_seconds": 100}
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, {**IMAGES, **wrong})
    message = re.sub(r"\s*│?\s+", " ", str(refused.value))
    for reason in ("at least 0.9 and less than 1", "slo_decision_seconds must be", "a multiple of 60"):
        assert reason in message


def test_silence_of_publishers_raises_an_alert_unless_it_is_usual(
    terraform: str, tmp_path: Path, deployed: dict[str, Any]
) -> None:
    (condition,) = conditions(deployed, "absent").values()
    assert condition["duration"] == "900s"
    assert condition["filter"].endswith('resource.labels.topic_id="pix-transactions"')
    usual = evaluate(terraform, tmp_path, {**IMAGES, "alert_silent_seconds": None})
    assert not conditions(usual, "absent")


def test_only_requests_that_succeeded_leave_no_line(deployed: dict[str, Any]) -> None:
    dropped = deployed["google_logging_project_exclusion.requests"]["filter"].split(" AND ")
    assert 'log_id("run.googleapis.com/requests")' in dropped
    assert "httpRequest.status<400" in dropped
    assert 'resource.labels.service_name=~"^pix-"' in dropped
