"""Deliveries to the functions, and queries of their tables."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import httpx
from google.cloud import bigquery

from infra.local.cloud import LocalCloud
from tests.waiting import PATIENCE

LIMITS = httpx.Limits(max_keepalive_connections=0)
"""No idle connections: the server closes them after 5 s, perhaps just as a slow client reuses one."""


def url(cloud: LocalCloud, function: str) -> str:
    """Return the address of a function."""
    return f"http://127.0.0.1:{getattr(cloud.ports, function)}/"


def led_to(cloud: LocalCloud) -> AbstractContextManager[object]:
    """Point jobs in this process at the cloud until the block ends.

    The block belongs inside that of the cloud: ending later, it would put back the addresses of one that has gone.
    """
    return patch.dict(os.environ, cloud.environment)


def deliver(
    address: str, bodies: Iterable[bytes], at_once: int = 32, headers: dict[str, str] | None = None
) -> list[int]:
    """Post bodies, at most `at_once` at a time, and return the statuses in their order."""

    async def run() -> list[int]:
        limit = asyncio.Semaphore(at_once)
        async with httpx.AsyncClient(timeout=PATIENCE, limits=LIMITS) as client:

            async def post(body: bytes) -> int:
                async with limit:
                    return (await client.post(address, content=body, headers=headers)).status_code

            async with asyncio.TaskGroup() as group:  # if one fails, none is under way any more when the client ends
                posted = [group.create_task(post(body)) for body in bodies]
            return [each.result() for each in posted]

    return asyncio.run(run())


def ask(cloud: LocalCloud, sql: str, **parameters: Any) -> list[bigquery.Row]:
    """Return the rows of a query; list parameters are arrays of strings."""
    kinds = [
        bigquery.ArrayQueryParameter(name, "STRING", value)
        if isinstance(value, list)
        else bigquery.ScalarQueryParameter(name, "STRING", value)
        for name, value in parameters.items()
    ]
    config = bigquery.QueryJobConfig(query_parameters=kinds)
    return list(cloud.bigquery().query(sql, job_config=config).result(timeout=PATIENCE))
