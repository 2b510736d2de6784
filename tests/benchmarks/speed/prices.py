"""Cost of a million Pix at the list prices in infra/capacity/prices.json."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from infra.capacity.figures import Prices

MILLION = 1_000_000


class Use(Struct):
    """Resources of a million Pix on one instance: seconds, memory, bytes of a message and of a row."""

    seconds: float
    memory_gib: float
    message_bytes: float
    row_bytes: float


class Cost(Struct):
    """Cost of a million Pix by service, in USD."""

    cloud_run: float
    pubsub: float
    bigquery: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.cloud_run + self.pubsub + self.bigquery


def cost(use: Use, prices: Prices) -> Cost:
    """Return the minimum cost of scoring a million Pix in the listed region, on fully used instances of one vCPU.

    Included are processor, memory and requests, Pub/Sub in and out, and appended rows. Idle instances (Cloud Run adds
    instances at 60 %), Valkey, storage and queries in BigQuery, logs, metrics and retraining are not: infra.capacity
    counts all of these.

    >>> from infra.capacity.figures import prices
    >>> listed = prices()
    >>> found = cost(Use(seconds=100, memory_gib=0, message_bytes=900, row_bytes=2 * 2**30 / 1e6), listed)
    >>> found.bigquery == 2 * listed.bigquery.storage_write_gib * listed.bigquery.region_factor
    True
    >>> run = listed.cloud_run  # a request costs the same everywhere
    >>> found.cloud_run == 100 * run.vcpu_second * run.region_factor + run.million_requests
    True
    >>> round(found.pubsub / listed.pubsub.tib * 2**40)  # published and delivered, at least 1,000 bytes each
    2000000000
    """
    run = prices.cloud_run
    compute = use.seconds * (run.vcpu_second + use.memory_gib * run.gib_second) * run.region_factor
    return Cost(
        compute + run.million_requests,
        prices.pubsub.traffic_cost(MILLION, use.message_bytes),
        prices.bigquery.append_cost(use.row_bytes * MILLION),
    )


def worker_cost(use: Use, prices: Prices) -> Cost:
    """Return the minimum cost of a million Pix on workers that pull, as `cost`: there is no request to pay for.

    >>> from infra.capacity.figures import prices
    >>> listed, use = prices(), Use(seconds=100, memory_gib=0, message_bytes=900, row_bytes=1_000)
    >>> run = listed.cloud_run
    >>> worker_cost(use, listed).cloud_run == 100 * run.worker_vcpu_second * run.region_factor
    True
    """
    run = prices.cloud_run
    compute = use.seconds * (run.worker_vcpu_second + use.memory_gib * run.worker_gib_second) * run.region_factor
    return msgspec.structs.replace(cost(use, prices), cloud_run=compute)
