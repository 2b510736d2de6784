"""The OpenAPI document (3.1) of the decide function, from the types of its messages.

Its examples are questions and their answers where no model serves and nothing was asked before; tests ask them.
"""

from __future__ import annotations

import json
from typing import Any

from infra.schemas import schemas
from shared.contract.decision import DecisionAnswer
from shared.contract.transaction import Transaction
from shared.serving.http.decide_api import DECISIONS, LONGEST_MS, OPENAPI
from shared.serving.http.problems import (
    FAILED,
    JSON,
    MALFORMED,
    NOT_IN_TIME,
    OVERLOADED,
    PROBLEM_JSON,
    RETRY_SECONDS,
    TIMEOUT_HEADER,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_CALLER,
    Kind,
    Problem,
)

_PIX = {
    "end_to_end_id": "E12345678202611201432a1b2c3d4e5f",
    "initiated_at": "2026-11-20T14:32:05.123Z",
    "amount": "150.00",
    "initiation_form": "DICT",
    "payer": {"tax_id": "12345678909", "ispb": "12345678", "branch": "0001", "account": "1234567"},
    "payee": {"tax_id": "98765432100", "ispb": "87654321", "branch": "0001", "account": "7654321"},
}
_DECISION = {
    "end_to_end_id": _PIX["end_to_end_id"],
    "side": "PAYER",
    "decision": "APPROVE",
    "hold_until": None,
    "score": None,
    "reasons": ["NO_MODEL"],
    "model_version": None,
    "degraded": True,
    "scored_at": "2026-11-20T14:32:06Z",
    "first": True,
}
_STOPPED = {"amount": "250.00", "device": {"id": "device-1", "registered_at": None}}
_REJECT = {"decision": "REJECT", "reasons": ["UNREGISTERED_DEVICE_TRANSACTION_LIMIT", "NO_MODEL"]}
_QUESTIONS: dict[str, dict[str, Any]] = {
    "approved": _PIX,
    "rejected": _PIX | _STOPPED,
    "dated": _PIX | {"initiated_at": "2026-10-20T14:32:05.123Z"},
}
_SUMMARIES = {
    "approved": "Nothing speaks against it",
    "rejected": "More than an unregistered device may pay",
    "dated": "A time that does not fit the EndToEndId",
}
_DATED = {
    "type": f"urn:pix:problem:{MALFORMED.name}",
    "title": MALFORMED.title,
    "status": int(MALFORMED.status),
    "reason": "invalid_value",
    "field": "end_to_end_id",
}


def openapi() -> str:
    """Return the document as JSON."""
    (question, answer, problem), components = schemas(
        (Transaction, DecisionAnswer, Problem), "#/components/schemas/{name}"
    )
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Pix fraud scoring: decisions",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The decision about a Pix, asked for over HTTP. It is the one that the topic "
            "pix-transactions gives for the same message, whichever comes first.",
        },
        "security": [{"identity": []}, {}],
        "paths": {
            DECISIONS: {"post": _decide(question, answer, problem)},
            OPENAPI: {"get": _describe()},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "identity": {"type": "http", "scheme": "bearer", "description": "An OIDC token of a service account"}
            },
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _decide(question: Any, answer: Any, problem: Any) -> dict[str, Any]:
    return {
        "operationId": "decide",
        "summary": "Decide a Pix",
        "description": "Each side has one decision about a Pix; a later question gets the first one, with `first` "
        "false. Unknown fields are ignored. After 429, 503, 500 or no answer, ask again with the same message.",
        "parameters": [_timeout()],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": question, "examples": _examples(_QUESTIONS)}},
        },
        "responses": {
            "200": {
                "description": "The decision",
                "content": {
                    JSON: {
                        "schema": answer,
                        "examples": _examples({"approved": _DECISION, "rejected": _DECISION | _REJECT}),
                    }
                },
            },
            "401": _problem(problem, UNKNOWN_CALLER),
            "413": _problem(problem, TOO_LARGE),
            "422": _problem(problem, MALFORMED, examples=_examples({"dated": _DATED})),
            "429": _problem(problem, OVERLOADED, is_retried=True),
            "500": _problem(problem, FAILED),
            "503": _problem(problem, NOT_IN_TIME, UNAVAILABLE, is_retried=True),
        },
    }


def _timeout() -> dict[str, Any]:
    return {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds that the caller waits. The answer comes a little sooner: the decision, or 503.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_MS, "examples": [300]},
    }


def _describe() -> dict[str, Any]:
    content = {JSON: {"schema": {"type": "object"}}}
    return {
        "operationId": "describe",
        "summary": "This document",
        "responses": {"200": {"description": "OpenAPI 3.1", "content": content}},
    }


def _examples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: {"summary": _SUMMARIES[name], "value": value} for name, value in values.items()}


def _problem(schema: Any, *kinds: Kind, is_retried: bool = False, **content: Any) -> dict[str, Any]:
    response = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {PROBLEM_JSON: {"schema": schema, **content}},
    }
    if is_retried:
        wait = {"type": "integer", "minimum": RETRY_SECONDS}
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "required": True, "schema": wait}}
    return response
