"""The decide function under functions-framework, beside the score function and the same tables and history."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

import httpx

from infra.local.cloud import LocalCloud
from shared.serving.http.decide_api import DECISIONS, DOCUMENT, OPENAPI
from tests.builders import encoded, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import LIMITS, deliver, url
from tests.waiting import PATIENCE

AT_ONCE = 400
STOPPED = {"amount": "250.00", "device__registered_at": None}
PATIENT = {"X-Request-Timeout-Ms": "60000"}


def post(cloud: LocalCloud, body: bytes) -> httpx.Response:
    """Ask with patience, as tests share the processor."""
    return httpx.post(cloud.address("decide") + DECISIONS[1:], content=body, headers=PATIENT, timeout=PATIENCE)


def just_now() -> dict[str, Any]:
    """Return a Pix of this minute, which history remembers: no question about it is one for BigQuery first."""
    now = dt.datetime.now(dt.UTC)
    message = transaction(**STOPPED, initiated_at=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    own: str = message["end_to_end_id"]
    return message | {"end_to_end_id": f"{own[:9]}{now:%Y%m%d%H%M}{own[21:]}"}


def test_the_answer_is_the_row_of_the_view(cloud: LocalCloud) -> None:
    message = transaction(**STOPPED)
    answer = post(cloud, encoded(message))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    decision = answer.json()
    (row,) = scores(cloud, [message])
    assert (decision["decision"], decision["reasons"]) == (row.decision, row.reasons)
    assert decision["first"]
    assert post(cloud, encoded(message)).json() == decision | {"first": False}


def test_a_pix_that_the_topic_decided_has_that_decision(cloud: LocalCloud) -> None:
    message = transaction(**STOPPED)
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    decision = post(cloud, encoded(message)).json()
    (row,) = scores(cloud, [message])
    assert (decision["first"], decision["decision"], decision["reasons"]) == (False, row.decision, row.reasons)
    assert decision["score"] == row.score


def test_one_id_at_once_by_both_functions_has_one_decision(cloud: LocalCloud) -> None:
    body = encoded(just_now())

    async def scenario() -> list[httpx.Response]:
        limit = asyncio.Semaphore(64)
        ways = ((cloud.address("decide") + DECISIONS[1:], body), (cloud.address("score"), push_body(body)))
        async with httpx.AsyncClient(timeout=PATIENCE, limits=LIMITS, headers=PATIENT) as client:

            async def send(way: int) -> httpx.Response:
                async with limit:
                    return await client.post(ways[way][0], content=ways[way][1])

            return await asyncio.gather(*(send(i % 2) for i in range(AT_ONCE)))

    found = asyncio.run(scenario())
    assert {each.status_code for each in found[1::2]} == {204}
    assert {each.status_code for each in found[::2]} == {200}
    assert len({each.content.replace(b'"first":true', b'"first":false') for each in found[::2]}) == 1
    decision: dict[str, Any] = found[0].json()
    (row,) = scores(cloud, [json.loads(body)])
    assert (row.decision, row.reasons, row.score) == (decision["decision"], decision["reasons"], decision["score"])


def test_a_problem_is_told_and_what_is_too_large_is_refused_unread(cloud: LocalCloud) -> None:
    answer = post(cloud, b"{")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    read, unread = (post(cloud, b" " * size) for size in (70_000, 140_000))
    assert (read.status_code, unread.status_code) == (413, 413)
    assert (unread.headers["content-type"], unread.json()) == (read.headers["content-type"], read.json())
    root = cloud.address("decide")
    assert httpx.get(root, timeout=PATIENCE).status_code == 200
    assert httpx.get(root + OPENAPI[1:], timeout=PATIENCE).content == DOCUMENT.read_bytes()
    refused = httpx.get(root + DECISIONS[1:], timeout=PATIENCE)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert httpx.get(root + "v2", timeout=PATIENCE).status_code == 404
