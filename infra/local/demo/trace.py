"""Trace the money of one reported chain, as an operator does."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from infra.local.cloud import LocalCloud


class Traced(Struct, frozen=True):
    """The result of `jobs.trace`: Pix and hops behind a root of this amount in BRL, 0 where no money moved."""

    outcome: str
    end_to_end_id: str
    amount: str = "0.00"
    hops: int = 0
    transactions: int = 0


def traced(cloud: LocalCloud, root: str | None) -> Traced | None:
    """Run the job for a root; None without one. Raises JobFailed."""
    return None if root is None else msgspec.json.decode(cloud.run_job("trace", root), type=Traced)
