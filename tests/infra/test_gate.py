"""The gate of traffic: its questions in PromQL, evaluated by Prometheus, its judgement, and Monitoring's answers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from infra.deploy import gate
from infra.deploy.stage import DESK, FUNCTIONS, ROOT
from shared.telemetry.metrics import METRICS
from tests.infra.matching import match
from tests.infra.test_promql import named

NEW, OLD = "pix-score-00002-abc", "pix-score-00001-abc"
QUERIES = {
    (service, measure.name, own, part): gate.query(measure, series, service, NEW, own, 600)
    for service, measures in gate.MEASURES.items()
    for measure in measures
    for own in (True, False)
    for part, series in (("all", measure.all), ("marked", measure.marked))
}


def asked(measure: str, own: tuple[float, float], others: tuple[float, float]) -> gate.Ask:
    """Return answers for pix-score: (all, marked) of the new revision and of the others in one measure, else none."""

    def answer(text: str) -> float:
        _, name, is_own, part = next(key for key, query in QUERIES.items() if query == text)
        values = own if is_own else others
        return values[part == "marked"] if name == measure else 0.0

    return answer


PAGES = "run_googleapis_com:request_count"
FAILED, DEGRADED, SLOW = (each.name for each in gate.MEASURES["pix-score"])


@pytest.mark.parametrize(
    ("measure", "own", "others", "worse"),
    [
        (FAILED, (1000, 6), (99_000, 0), True),
        (FAILED, (1000, 5), (99_000, 0), False),
        (FAILED, (10, 3), (990, 0), True),
        (FAILED, (10, 2), (990, 0), False),
        (FAILED, (1000, 100), (99_000, 9_900), False),
        (FAILED, (0, 0), (0, 0), False),
        (DEGRADED, (1000, 11), (99_000, 0), True),
        (DEGRADED, (1000, 9), (99_000, 0), False),
        (SLOW, (1000, 970), (99_000, 99_000), True),
        (SLOW, (1000, 985), (99_000, 99_000), False),
        (SLOW, (1000, 1001), (99_000, 99_000), False),
    ],
)
def test_a_revision_is_worse_by_a_share_and_never_by_a_few_events(
    measure: str, own: tuple[float, float], others: tuple[float, float], worse: bool
) -> None:
    found = gate.reasons(asked(measure, own, others), "pix-score", NEW, 600)
    assert [each.partition(":")[0] for each in found] == ([measure] if worse else [])


def test_every_function_is_judged_by_metrics_that_exist() -> None:
    assert set(gate.MEASURES) == {f"pix-{name}" for name in (*FUNCTIONS, DESK)}
    known = {each.name for each in METRICS} | {PAGES}
    for query in QUERIES.values():
        assert re.sub(r"(?<=duration)_(bucket|count)$", "", match(r'\{"([\w.:]+)"', query)[1]) in known
    alerts = (ROOT / "infra" / "monitoring" / "alerts.yaml").read_text("utf-8")
    steps = match(r'\{"pix.scored", (step=~"[^"]*")\}', alerts)[1]
    assert any(steps in query for query in QUERIES.values())


def promtool_says(promtool: str, folder: Path, *command: str) -> str:
    """Return the output of a command that succeeds."""
    done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


EXPORTED = 'pix_messages{{job="{}",instance="{}/{}",status="{}"}}'
(PAGES_FAILED,) = (each.name for each in gate.MEASURES["pix-console"])
COUNTED = PAGES.replace(":", "_") + '{{service_name="{}",revision_name="{}",location="{}",response_code_class="{}"}}'


@pytest.mark.parametrize(
    ("service", "measure", "series", "good", "bad"),
    [
        ("pix-score", FAILED, EXPORTED, "stored", "failed"),
        ("pix-console", PAGES_FAILED, COUNTED, "2xx", "5xx"),
    ],
)
def test_prometheus_answers_for_the_revision_and_for_the_others(
    promtool: str, tmp_path: Path, service: str, measure: str, series: str, good: str, bad: str
) -> None:
    counted = {
        series.format(service, NEW, "a", good): "0+90x20",
        series.format(service, NEW, "a", bad): "0+10x20",
        series.format(service, OLD, "b", good): "0+900x20",
        series.format(service, OLD, "c", bad): "0+100x20",
        series.format("pix-label", "x", "d", bad): "0+7x20",
    }
    values = {(True, "all"): 1000, (True, "marked"): 100, (False, "all"): 10_000, (False, "marked"): 1000}
    tests = [
        {"expr": named(QUERIES[service, measure, *key]), "eval_time": "15m", "exp_samples": [{"value": value}]}
        for key, value in values.items()
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": each, "values": text} for each, text in counted.items()],
        "promql_expr_test": tests,
    }
    (tmp_path / "tests.yml").write_text(json.dumps({"tests": [case]}), "utf-8")
    assert "SUCCESS" in promtool_says(promtool, tmp_path, "test", "rules", "tests.yml")


def test_prometheus_reads_every_question(promtool: str, tmp_path: Path) -> None:
    listed = [{"alert": f"query{i}", "expr": named(query)} for i, query in enumerate(QUERIES.values())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "gate", "rules": listed}]}), "utf-8")
    assert f"{len(listed)} rules found" in promtool_says(promtool, tmp_path, "check", "rules", "rules.yml")


@contextmanager
def monitoring(status: int, result: list[Any]) -> Iterator[tuple[str, list[str]]]:
    """Run an API that answers every query alike; yield its address, and the questions with their token."""
    heard: list[str] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            heard.append(f"{self.headers['authorization']} {self.path} {parse_qs(text)['query'][0]}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": {"result": result}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "result", "code"),
    [(200, [], gate.GOOD), (200, [{"value": [0, "0"]}], gate.GOOD), (403, [], gate.UNREAD), (200, [{}], gate.UNREAD)],
)
def test_the_script_asks_monitoring_with_nothing_but_pythons_library(
    status: int, result: list[Any], code: int
) -> None:
    with monitoring(status, result) as (address, heard):
        script = str(ROOT / "infra" / "deploy" / "gate.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", script, "bank", "pix-score", NEW, "600", "--endpoint", address],
            env={"ACCESS_TOKEN": "t", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == code, done.stderr
    assert heard[0].startswith("Bearer t /projects/bank/location/global/prometheus/api/v1/query sum(increase({")
