"""Cloud Function `label`: answers a delivery 204 once its row is stored; 429 or 503 asks for a retry."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.serving.http import push
from shared.serving.http.endpoint import Endpoint
from shared.wiring.common import callers
from shared.wiring.label import label_function

_endpoint = Endpoint(label_function, callers)
push.serve_directly(_endpoint.deliver)


@functions_framework.aio.http
async def label(request: Request) -> Response:
    """Store one report."""
    return await _endpoint(request)
