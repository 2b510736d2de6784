"""Cloud Function `score`: a delivery of `pix-transactions` in; 204 once its row is stored, 503 to have it again."""

import functools
import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import logs, wiring
from shared.scoring.scorer import Delivery
from shared.serving.intake import Intake
from shared.settings import Settings


@functools.cache
def _intake() -> Intake[Delivery]:
    """Wire on the first request, when the event loop runs: a start-up probe by GET, where there is one."""
    logs.configure()
    return wiring.score_function(Settings.from_env(os.environ))


@functions_framework.aio.http
async def score(request: Request) -> Response:
    """Score one Pix; any request without a delivery only warms the instance up."""
    intake = _intake()
    if request.method != "POST":
        return Response("ready")
    return Response(status_code=await intake.handle(await request.body()))
