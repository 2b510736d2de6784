"""Plan capacity for a volume of Pix: resources, monthly cost, quotas, and a simulated day of autoscaling.

    python -m infra.capacity
    python -m infra.capacity --pix-a-day 313000000 --json
    python -m infra.capacity --pix-a-day 313000000 --date 2026-11-27 --plot day.png

Inputs: measured.json, prices.json and quotas.json beside this file. Volumes are for a mean day. Instances, shards and
rates are for the busiest second of the busiest date of a year; costs are for 30 mean days.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from infra.capacity import profile
from infra.capacity.autoscaling import Service, SimulatedDay, arrivals, simulate, summarize, without_start
from infra.capacity.binding import bounds
from infra.capacity.cost import DAYS, FILLS_A_DAY, cost, health_bytes
from infra.capacity.figures import TIB, Known, Prices, known, prices, quotas
from infra.capacity.late import DAY_SECONDS, late_bytes_a_day, outcome_lookup_bytes
from infra.capacity.plan import RECORD_DAYS, YEAR, plan
from infra.capacity.report import LateOptions, VolumeReport, table
from infra.capacity.safekeeping import added_cost
from infra.capacity.workers import workers

VOLUMES = (1e6, 10e6, 100e6, 313e6)
MILLION = 1e6
LEAD_IN = profile.HOUR
"""Seconds simulated before midnight and then dropped: with a cold push window the day would start with a queue."""


def options_of(service: Service) -> dict[str, Service]:
    """Return the compared variants of a service, by name."""
    return {
        "as deployed": service,
        "none kept": replace(service, instances_min=0),
        "one Pix at a time": replace(service, concurrency=1),
    }


def days(pix_a_day: float, date: dt.date, figures: Known, seed: int) -> dict[str, SimulatedDay]:
    """Simulate a date for each service option; all options receive the same messages."""
    shares = figures.measured.hourly_shares.values
    rates = profile.rates(pix_a_day * profile.factor(date), shares)
    arrived = arrivals(np.concatenate((rates[-LEAD_IN:], rates)), seed)
    options = options_of(Service.of(figures))
    return {name: without_start(simulate(arrived, service), LEAD_IN) for name, service in options.items()}


def volume(
    pix_a_day: float, record_days: int, simulated: dict[str, SimulatedDay], figures: Known, listed: Prices
) -> VolumeReport:
    """Assemble the report on one volume."""
    planned = plan(pix_a_day, figures, listed, record_days)
    costs, read = cost(planned, figures, listed), health_bytes(pix_a_day, figures)
    a_month = DAYS / TIB * listed.bigquery.query_tib * listed.bigquery.region_factor
    return VolumeReport(
        plan=planned,
        cost=costs,
        total_usd_a_month=costs.total,
        before_usd_a_month=costs.total - added_cost(planned, figures, listed),
        usd_a_million=costs.total / (pix_a_day * 30 / MILLION),
        days={name: summarize(day) for name, day in simulated.items()},
        bounds=bounds(planned, quotas(), lambda pix: plan(pix, figures, listed, record_days)),
        workers=workers(planned, figures, listed),
        health_gb_day=read / 1e9,
        health_usd=a_month * read,
        late=late_options(pix_a_day, figures, a_month),
    )


def late_options(pix_a_day: float, figures: Known, usd_a_month: float) -> LateOptions:
    """Return the cost of late outcomes by other ways to count them; `usd_a_month` is that of a byte a day."""
    late = pix_a_day * figures.assumed.outcome_lookups_per_pix.value
    return LateOptions(
        each=usd_a_month * late * outcome_lookup_bytes(pix_a_day, figures),
        each_by_day=usd_a_month * late * outcome_lookup_bytes(pix_a_day, figures, neighbours=False),
        five_minutes=usd_a_month * late_bytes_a_day(pix_a_day, figures, 300, FILLS_A_DAY),
        day=usd_a_month * late_bytes_a_day(pix_a_day, figures, DAY_SECONDS, FILLS_A_DAY),
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table or the JSON; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    figures, listed = known(), prices()
    if options.record_days not in figures.measured.keys_per_daily_pix.values:
        parser.error(f"records were measured for {sorted(figures.measured.keys_per_daily_pix.values)} days")
    found = []
    for pix in options.pix_a_day or VOLUMES:
        simulated = days(pix, options.date, figures, options.seed)
        found.append(volume(pix, options.record_days, simulated, figures, listed))
    if options.plot:
        from infra.capacity.plots import picture

        options.plot.write_bytes(picture(simulated, f"{pix / MILLION:g} million Pix a day, {options.date}"))
    print(msgspec.json.encode(found).decode() if options.json else table(found))  # noqa: T201 (output of the command)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--pix-a-day",
        type=_positive,
        action="append",
        metavar="N",
        help="volume; may be repeated (default: four volumes)",
    )
    add(
        "--record-days",
        type=int,
        default=RECORD_DAYS,
        metavar="N",
        help="PIX_STATE_RECORD_DAYS: 30, 90 or 180 (default: %(default)s)",
    )
    add(
        "--date",
        type=dt.date.fromisoformat,
        default=profile.busiest(YEAR),
        metavar="DATE",
        help="simulated date (default: the busiest, %(default)s)",
    )
    add("--seed", type=int, default=1, metavar="N", help="seed of the simulation (default: %(default)s)")
    add("--plot", type=Path, metavar="FILE", help="write a PNG of the simulated date at the last volume")
    add("--json", action="store_true", help="print JSON")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
