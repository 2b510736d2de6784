"""The composition root of the case desk."""

from __future__ import annotations

import os

from starlette.applications import Starlette

from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.desk.rows import BigQueryDeskRows, BigQuerySurroundings
from shared.adapters.bigquery.desk.threads import SECONDS, QueryThreads
from shared.adapters.bigquery.desk.watch import BigQueryWatch
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.iap import IapIdentity
from shared.adapters.memory.desk import MemoryCaseLocks, NamedUser
from shared.adapters.pubsub.publish import PubsubVerdicts
from shared.adapters.pubsub.wire import PublisherService
from shared.contract.pseudonyms import Pseudonymiser
from shared.desk.desk import Desk
from shared.desk.keyed import DeskKey
from shared.desk.ports import CaseLocks
from shared.desk.roles import roles
from shared.desk.settings import DeskSettings
from shared.desk.web.app import desk_app
from shared.desk.web.session import Site
from shared.settings import Settings
from shared.telemetry.metrics import Metrics
from shared.wiring.common import MEMORY, append_table, bigquery_client


def console(settings: Settings) -> Starlette:
    """Return the application of the desk. Needs a running event loop. Raises Misconfigured, Unavailable."""
    own = DeskSettings.from_env(os.environ, settings)
    queries, threads = BigQueryQueries(bigquery_client(settings), SECONDS), QueryThreads()
    rows = BigQueryDeskRows(queries, settings.project, settings.dataset, threads)
    key = DeskKey(settings.hmac_key.encode())
    service = WriteService.connect(settings.bigquery_storage_emulator_host)
    publisher = PublisherService.connect(settings.pubsub_emulator_host)
    desk = Desk(
        rows,
        append_table(service, settings, "reviews", Metrics()),
        _locks(settings),
        PubsubVerdicts(publisher, settings.project),
        key,
        own,
    )
    return desk_app(
        Site(
            desk,
            rows,
            BigQuerySurroundings(queries, settings.project, settings.dataset, settings.maturity_days, threads),
            BigQueryWatch(queries, settings.project, settings.dataset, threads),
            NamedUser(own.user) if own.user else IapIdentity(own.audience),
            roles(own.roles),
            key,
            Pseudonymiser(settings.hmac_key.encode()).person,
            own,
        )
    )


def _locks(settings: Settings) -> CaseLocks:
    """Return the locks in the store of history, or those of one process where history is in memory."""
    if settings.state.startswith(f"{MEMORY}://"):
        return MemoryCaseLocks()
    from shared.adapters.valkey.clients import client
    from shared.adapters.valkey.locks import ValkeyCaseLocks

    return ValkeyCaseLocks(client(settings.state, settings.state_connect_seconds, settings.state_call_seconds))
