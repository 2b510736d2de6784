"""The OpenAPI document holds for the implementation: its examples, and every answer to what it lets a caller ask."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.serving.http.decide_api import DECISIONS, DOCUMENT, OPENAPI
from tests.functions.asking import Functions

DESCRIBED = json.loads(DOCUMENT.read_text("utf-8"))
OPERATION = DESCRIBED["paths"][DECISIONS]["post"]
QUESTIONS = OPERATION["requestBody"]["content"]["application/json"]["examples"]
ANSWERS = {
    name: (int(status), kind, example["value"])
    for status, response in OPERATION["responses"].items()
    for kind, content in response["content"].items()
    for name, example in content.get("examples", {}).items()
}
load_all_checks()
CONFORMANCE = [
    CHECKS.get_one(name)
    for name in (
        *("status_code_conformance", "content_type_conformance", "response_headers_conformance"),
        *("response_schema_conformance", "not_a_server_error"),
    )
]


def test_it_is_served_as_it_is_checked_in() -> None:
    async def scenario() -> Any:
        return await Functions(MemoryHistoryAdapter()).api.answer("GET", OPENAPI, {}, b"")

    assert asyncio.run(scenario()).body == DOCUMENT.read_bytes()


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_example_is_answered_as_the_document_says(name: str) -> None:
    async def scenario() -> Any:
        return await Functions(MemoryHistoryAdapter()).post(QUESTIONS[name]["value"])

    answer = asyncio.run(scenario())
    assert (answer.status, answer.headers["content-type"], json.loads(answer.body)) == ANSWERS[name]


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_example_fits_its_schema(name: str) -> None:
    schema = OPERATION["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(schema | {"components": DESCRIBED["components"]})
    validator.validate(QUESTIONS[name]["value"])


def test_every_status_of_the_api_is_documented() -> None:
    assert set(OPERATION["responses"]) == {"200", "401", "413", "422", "429", "500", "503"}


async def answered(request: Request) -> Response:
    """Answer a request by functions of its own: nothing was asked before."""
    functions = Functions(MemoryHistoryAdapter())
    body = await request.body()
    status, content, headers = await functions.api.answer(request.method, request.url.path, request.headers, body)
    return Response(content, status, headers)


described = schemathesis.openapi.from_asgi(
    OPENAPI, Starlette(routes=[Route("/{path:path}", answered, methods=["GET", "HEAD", "POST"])])
)


@described.parametrize()
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_conform_to_the_document(case: Any) -> None:
    case.call_and_validate(checks=CONFORMANCE)
