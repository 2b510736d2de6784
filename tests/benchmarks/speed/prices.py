"""What a million Pix cost at the list prices in infra/capacity/prices.json."""

from __future__ import annotations

from msgspec import Struct

from infra.capacity.figures import Prices

MILLION = 1_000_000


class Use(Struct):
    """What a million Pix take on one instance: seconds, memory, bytes of a message and of a row."""

    seconds: float
    memory_gib: float
    message_bytes: float
    row_bytes: float


class Cost(Struct):
    """USD for a million Pix, by service, as `cost` counts them."""

    cloud_run: float
    pubsub: float
    bigquery: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.cloud_run + self.pubsub + self.bigquery


def cost(use: Use, prices: Prices) -> Cost:
    """Return what a million Pix cost in the region of the list, on instances of one vCPU that are always full.

    That is their processor, memory and requests, Pub/Sub in and out, and the rows appended. It is the least that
    scoring can cost. Left out are what is idle, as Cloud Run adds instances at 60 %, Valkey, what is stored and asked
    in BigQuery, logs, metrics and retraining: infra.capacity counts all of these.

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
