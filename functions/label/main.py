"""Cloud Function `label`: a delivery of `pix-feedback` in; 204 once its row is stored, else 429 or 503: again."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import label_wiring, push_http
from shared.endpoint import Endpoint

_endpoint = Endpoint(label_wiring.label_function)
push_http.serve_directly(_endpoint.deliver)


@functions_framework.aio.http
async def label(request: Request) -> Response:
    """Store one report."""
    return await _endpoint(request)
