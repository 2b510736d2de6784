"""Cloud Function `console`: the case desk, as an application behind one function."""

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.serving.http.application import Application
from shared.wiring.console import console as console_application

_application = Application(console_application)


@functions_framework.aio.http
async def console(request: Request) -> Response:
    """Answer one request to the desk."""
    return await _application(request)
