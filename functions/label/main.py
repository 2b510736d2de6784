"""Cloud Function `label`: a delivery of `pix-feedback` in; 204 once its row is stored, 503 to have it again."""

import functools
import logging
import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import logs, wiring
from shared.contract.rows import FeedbackRow
from shared.serving.intake import Intake
from shared.settings import Settings

WARM, FAILED = 200, 500


@functools.cache
def _intake() -> Intake[FeedbackRow]:
    """Wire on the first request, when the event loop runs: a start-up probe by GET, where there is one."""
    logs.configure()
    return wiring.label_function(Settings.from_env(os.environ))


@functions_framework.aio.http
async def label(request: Request) -> Response:
    """Store one report; any request without a delivery only warms the instance up."""
    try:
        intake = _intake()
        status = await intake.handle(await request.body()) if request.method == "POST" else WARM
    except Exception:  # nothing may leave here: the framework would log the text, which may repeat personal data
        logging.getLogger(__name__).exception("label failed")
        status = FAILED
    return Response(status_code=status)
