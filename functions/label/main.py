"""Cloud Function `label`: a delivery of `pix-feedback` in; 204 once its row is stored, 503 to have it again."""

import functools
import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import logs, wiring
from shared.contract.rows import FeedbackRow
from shared.serving.intake import Intake
from shared.settings import Settings


@functools.cache
def _intake() -> Intake[FeedbackRow]:
    """Wire on the first request, when the event loop runs: a start-up probe by GET, where there is one."""
    logs.configure()
    return wiring.label_function(Settings.from_env(os.environ))


@functions_framework.aio.http
async def label(request: Request) -> Response:
    """Store one report; any request without a delivery only warms the instance up."""
    intake = _intake()
    if request.method != "POST":
        return Response("ready")
    return Response(status_code=await intake.handle(await request.body()))
