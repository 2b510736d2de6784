"""Cloud Function `score`: a delivery of `pix-transactions` in; 204 once its row is stored, 503 to have it again."""

import functools
import logging
import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import logs, wiring
from shared.scoring.scorer import Delivery
from shared.serving.intake import Intake
from shared.settings import Settings

WARM, FAILED = 200, 500


@functools.cache
def _intake() -> Intake[Delivery]:
    """Wire on the first request, when the event loop runs: a start-up probe by GET, where there is one."""
    logs.configure()
    return wiring.score_function(Settings.from_env(os.environ))


@functions_framework.aio.http
async def score(request: Request) -> Response:
    """Score one Pix; any request without a delivery only warms the instance up."""
    try:
        intake = _intake()
        status = await intake.handle(await request.body()) if request.method == "POST" else WARM
    except Exception:  # nothing may leave here: the framework would log the text, which may repeat personal data
        logging.getLogger(__name__).exception("score failed")
        status = FAILED
    return Response(status_code=status)
