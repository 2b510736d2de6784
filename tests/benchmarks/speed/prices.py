"""What a million Pix cost at the list prices in infra/prices.json."""

from __future__ import annotations

from msgspec import Struct

from infra.capacity.figures import Prices

MILLION = 1_000_000
GIB, TIB = 2.0**30, 2.0**40


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

    >>> from infra.capacity.figures import prices
    >>> listed = prices()
    >>> found = cost(Use(seconds=100, memory_gib=0, message_bytes=900, row_bytes=2 * 2**30 / 1e6), listed)
    >>> found.bigquery == 2 * listed.bigquery.storage_write_gib
    True
    >>> found.cloud_run == 100 * listed.cloud_run.vcpu_second + listed.cloud_run.million_requests
    True
    >>> round(found.pubsub / listed.pubsub.tib * 2**40)  # published and delivered, at least 1,000 bytes each
    2000000000
    """
    run, pubsub = prices.cloud_run, prices.pubsub
    compute = use.seconds * (run.vcpu_second + use.memory_gib * run.gib_second)
    passed = 2 * max(use.message_bytes, pubsub.request_bytes_min) * MILLION / TIB
    stored = use.row_bytes * MILLION / GIB
    return Cost(compute + run.million_requests, passed * pubsub.tib, stored * prices.bigquery.storage_write_gib)
