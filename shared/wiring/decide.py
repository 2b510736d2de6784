"""The composition root of the decide function."""

from __future__ import annotations

import logging

from shared.serving.decide_service import DecideService
from shared.serving.http.decide_api import DecideApi
from shared.serving.http.decide_endpoint import Deciding
from shared.settings import Settings
from shared.wiring.common import MEMORY, callers, stored_decisions
from shared.wiring.score import scoring

log = logging.getLogger(__name__)


def decide_function(settings: Settings) -> Deciding:
    """Return the decide function, with its model loaded. Needs a running event loop. Raises Misconfigured."""
    if settings.state.startswith(f"{MEMORY}://"):
        log.warning("history is not shared, so messages of the topic are decided apart: PIX_STATE is memory://")
    stored = stored_decisions(settings)
    part = scoring(settings, lambda: stored)
    service = DecideService(part.intake, part.decode, part.earlier)
    return Deciding(service, DecideApi(service, settings.decide_seconds, part.metrics, callers(settings)))
