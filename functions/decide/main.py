"""Cloud Function `decide`: answers a question about a Pix with the decision; GET /v1/openapi.json describes it."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.serving.http import push
from shared.serving.http.decide_endpoint import DecideEndpoint
from shared.wiring.decide import decide_function

_endpoint = DecideEndpoint(decide_function)
push.serve_within_limits()


@functions_framework.aio.http
async def decide(request: Request) -> Response:
    """Answer one request."""
    return await _endpoint(request)
