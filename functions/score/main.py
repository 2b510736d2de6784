"""Cloud Function `score`: a delivery of `pix-transactions` in; 204 once its row is stored, else 429 or 503: again."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared import push_http, score_wiring
from shared.endpoint import Endpoint

_endpoint = Endpoint(score_wiring.score_function)
push_http.serve_directly(_endpoint.deliver)


@functions_framework.aio.http
async def score(request: Request) -> Response:
    """Score one Pix."""
    return await _endpoint(request)
