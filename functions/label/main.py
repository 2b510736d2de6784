"""Cloud Function `label`: a delivery of `pix-feedback` in; 204 once its row is stored, else 429 or 503: again."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import wiring
from shared.endpoint import Endpoint

_endpoint = Endpoint(wiring.label_function)


@functions_framework.aio.http
async def label(request: Request) -> Response:
    """Store one report."""
    return await _endpoint(request)
