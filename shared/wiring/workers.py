"""The common parts of every worker, whichever engine feeds it: its topic, its settings, its file of properties."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.errors import Misconfigured
from shared.settings import Settings

TOPIC_OF = {"score": TRANSACTIONS, "outcome": OUTCOMES, "label": FEEDBACK}
"""The topic of each function that takes messages."""
_BATCHES = {"PIX_BATCH_MAX": "512", "PIX_BATCH_ENOUGH": "256"}
"""Batches of push are bounded by the concurrency of an instance. Those of a backlog are not, and the larger a batch,
the less its fixed cost; below some 30,000 messages a second they start by the linger anyway."""


def worker_settings(function: str, environment: Mapping[str, str]) -> Settings:
    """Return the settings of a function whose messages come in large batches. Raises Misconfigured."""
    return Settings.from_env({**_BATCHES, "K_SERVICE": f"pix-{function}", **environment})


def properties(file: Path) -> dict[str, str]:
    """Return the `name=value` lines of a file. Raises Misconfigured."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from error
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
