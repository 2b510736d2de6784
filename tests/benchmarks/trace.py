"""The time of a trace among a million Pix in the local BigQuery.

    python -m tests.benchmarks.trace [--rows N]

Prints the time of the trace of a chain of four hops, and of one that fans out to two hundred accounts.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from google.cloud import bigquery

from infra.deploy.migrate import make
from shared.adapters.bigquery.query import BigQueryQueries
from shared.contract import tables as contract
from shared.trace.flow import Trace
from shared.trace.graph import TraceLimits
from shared.trace.source import TraceSource
from tests.contract.local_servers import PROJECT, local_bigquery

DATASET, MATURITY_DAYS = "pix", 87
DAYS, ACCOUNTS = 30, 50_000
START = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - dt.timedelta(days=DAYS + 1)
WIDE = TraceLimits(transactions_max=200)
SCORED = (
    "end_to_end_id, side, initiated_at, scored_at, amount, initiation_form, purpose, payer_id, payer_person_id, "
    "payer_ispb, payee_id, payee_ispb, decision, late, degraded, history_sequence, hmac_key_version"
)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with TemporaryDirectory() as folder, local_bigquery(Path(folder), Path(folder)) as local:
        make(local.client, DATASET, contract.tables(), contract.views(PROJECT, DATASET, MATURITY_DAYS))
        _fill(local.client, rows)
        source = TraceSource(BigQueryQueries(local.client), PROJECT, DATASET, MATURITY_DAYS)
        for name, root, limits in (("chain", _id(0), TraceLimits()), ("fan", _id(10), WIDE)):
            started = time.perf_counter()
            found = source.trace(root, limits)
            assert isinstance(found, Trace)
            hops = max(step.member.layer for step in found.steps)
            seconds = time.perf_counter() - started
            print(f"{name}: {len(found.steps)} Pix over {hops} hops among {rows:,} in {seconds:.2f} s")


def _id(number: int) -> str:
    return f"E00000000{START:%Y%m%d%H%M}{number:011}"


def _fill(client: bigquery.Client, rows: int) -> None:
    """Fill the tables with Pix at random, a chain a0..a4, and a fan from b0 to b1..b150 and on."""
    seconds = DAYS * 86_400
    drawn = (
        f"SELECT n, MOD(ABS(FARM_FINGERPRINT(CAST(n AS STRING))), {seconds}) AS second, "
        f"CONCAT('account-', MOD(ABS(FARM_FINGERPRINT(CONCAT('p', CAST(n AS STRING)))), {ACCOUNTS})) AS payer, "
        f"CONCAT('account-', MOD(ABS(FARM_FINGERPRINT(CONCAT('q', CAST(n AS STRING)))), {ACCOUNTS})) AS payee, "
        f"100 + MOD(n, 900) AS brl FROM UNNEST(GENERATE_ARRAY(1000, {rows + 999})) AS n"
    )
    chain = [(n, 60 * n, f"a{n}", f"a{n + 1}", 5000 - n) for n in range(5)]
    fan = [(10, 0, "b", "b0", 99_000)]
    fan += [(11 + n, 60 + n, "b0", f"b{n + 1}", 600) for n in range(150)]
    fan += [(200 + n, 600 + n, f"b{n + 1}", f"account-{n}", 590) for n in range(150)]
    planted = " UNION ALL ".join(
        f"SELECT {n} AS n, {second} AS second, '{payer}' AS payer, '{payee}' AS payee, {brl} AS brl"
        for n, second, payer, payee, brl in [*chain, *fan]
    )
    start = contract.timestamp(START)
    known = (
        f"CONCAT('E00000000{START:%Y%m%d%H%M}', LPAD(CAST(n AS STRING), 11, '0')) AS id, "
        f"TIMESTAMP_ADD({start}, INTERVAL second SECOND) AS moment, payer, payee, brl, n"
    )
    for part in (drawn, planted):
        pix = f"(SELECT {known} FROM ({part}) AS drawn)"
        client.query(
            f"INSERT INTO {DATASET}.score_events ({SCORED}) "
            "SELECT id, 'PAYER', moment, moment, CAST(brl AS NUMERIC), 'DICT', 'IPAY', payer, payer, '00000000', "
            f"payee, '11111111', 'APPROVE', FALSE, FALSE, n, 1 FROM {pix} AS x"
        ).result()
        client.query(
            f"INSERT INTO {DATASET}.outcomes (end_to_end_id, side, status, `at`, received_at) "
            f"SELECT id, 'PAYER', 'SETTLED', TIMESTAMP_ADD(moment, INTERVAL 2 SECOND), moment FROM {pix} AS x"
        ).result()


if __name__ == "__main__":
    main()
