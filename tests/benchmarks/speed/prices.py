"""What a million Pix cost at the list prices in infra/prices.json."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path(__file__).resolve().parents[3] / "infra" / "prices.json"
MILLION = 1_000_000
GIB, TIB = 2.0**30, 2.0**40


class CloudRun(Struct):
    """Prices of what a function uses while it works on requests."""

    vcpu_second: float
    gib_second: float
    million_requests: float


class PubSub(Struct):
    """The price of bytes published and delivered, and the least that a request counts."""

    tib: float
    request_bytes_min: int


class BigQuery(Struct):
    """The price of bytes appended."""

    storage_write_gib: float


class Prices(Struct):
    """List prices in USD."""

    cloud_run: CloudRun
    pubsub: PubSub
    bigquery: BigQuery

    @classmethod
    def load(cls) -> Prices:
        """Return the prices in the file."""
        return msgspec.json.decode(FILE.read_bytes(), type=cls)


class Use(Struct):
    """What a million Pix take on one instance: seconds, memory, bytes of a message and of a row."""

    seconds: float
    memory_gib: float
    message_bytes: float
    row_bytes: float


class Cost(Struct):
    """USD for a million Pix, by service."""

    cloud_run: float
    pubsub: float
    bigquery: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.cloud_run + self.pubsub + self.bigquery


def cost(use: Use, prices: Prices) -> Cost:
    """Return what a million Pix cost on an instance of one vCPU.

    >>> prices = Prices(CloudRun(0.1, 0.01, 0.4), PubSub(40.0, 1000), BigQuery(0.025))
    >>> cost(Use(seconds=0, memory_gib=0.5, message_bytes=900, row_bytes=2**30 / 1e6), prices)
    Cost(cloud_run=0.4, pubsub=0.0727..., bigquery=0.025)
    """
    run, pubsub = prices.cloud_run, prices.pubsub
    compute = use.seconds * (run.vcpu_second + use.memory_gib * run.gib_second)
    passed = 2 * max(use.message_bytes, pubsub.request_bytes_min) * MILLION / TIB
    stored = use.row_bytes * MILLION / GIB
    return Cost(compute + run.million_requests, passed * pubsub.tib, stored * prices.bigquery.storage_write_gib)
