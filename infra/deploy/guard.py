"""Refuse a plan of Terraform that destroys data, or does more than the plan that was approved.

Reads plans as `terraform show -json` prints them (https://developer.hashicorp.com/terraform/internals/json-format).
Prints addresses only: a plan holds values that logs must not have.

Exit codes: 0 the plan may be applied, 1 it is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

DATA = frozenset(
    (
        "google_bigquery_dataset",
        "google_bigquery_table",
        "google_kms_crypto_key",
        "google_memorystore_instance",
        "google_pubsub_subscription",
        "google_pubsub_topic",
        "google_secret_manager_secret",
        "google_secret_manager_secret_version",
        "google_sql_database",
        "google_sql_database_instance",
        "google_storage_bucket",
    )
)
"""Types of resources whose destruction loses rows, messages, models, history, or a key of pseudonyms or models."""


class Change(NamedTuple):
    """A change of one resource; values as in JSON, `unknown` where an apply will know them."""

    address: str
    kind: str
    actions: tuple[str, ...]
    before: Any
    after: Any
    unknown: Any

    def destroys(self, kinds: Collection[str]) -> bool:
        """Return whether it deletes or replaces data; a view holds none."""
        return self.kind in kinds and "delete" in self.actions and not (self.before or {}).get("view")

    def is_part_of(self, approved: Change) -> bool:
        """Return whether an approval of the other change is one of this change."""
        return self.actions == approved.actions and covered(self.after, self.before, approved.after, approved.unknown)


def changes(plan: dict[str, Any]) -> dict[str, Change]:
    """Return the changes of a plan by address, without those that do nothing or only read."""
    return {change.address: change for change in _changes(plan) if set(change.actions) - {"no-op", "read"}}


def _changes(plan: dict[str, Any]) -> Iterator[Change]:
    for each in plan.get("resource_changes", []):
        change = each["change"]
        actions, values = tuple(change["actions"]), (change["before"], change["after"], change["after_unknown"])
        yield Change(each["address"], each["type"], actions, *values)


def covered(value: Any, before: Any, approved: Any, unknown: Any) -> bool:
    """Return whether each value that is new is the approved one, wherever the approved plan knew it.

    >>> covered({"a": 1, "b": 2, "c": 3}, {"c": 3}, {"a": 1, "c": 4}, {"b": True})
    True
    >>> covered({"a": 1, "b": 2}, None, {"a": 1}, {})
    False
    """
    if unknown is True or value == before:
        return True
    if isinstance(approved, dict) and isinstance(value, dict):
        old, known = (each if isinstance(each, dict) else {} for each in (before, unknown))
        names = approved.keys() | value.keys()
        return all(covered(value.get(name), old.get(name), approved.get(name), known.get(name)) for name in names)
    if isinstance(approved, list) and isinstance(value, list) and len(value) == len(approved):
        size = len(value)
        old_items, known_items = (
            each if isinstance(each, list) and len(each) == size else [None] * size for each in (before, unknown)
        )
        return all(map(covered, value, old_items, approved, known_items))
    return bool(value == approved)


def refusals(
    plan: dict[str, Any], approved: dict[str, Any] | None = None, kinds: Collection[str] = DATA
) -> list[str]:
    """Return the reasons against a plan, none if it may be applied."""
    found = changes(plan)
    reasons = [f"destroys data: {each.address}" for each in found.values() if each.destroys(kinds)]
    if approved is not None:
        known = changes(approved)
        reasons += [
            f"is not in the approved plan: {address} ({', '.join(change.actions)})"
            for address, change in found.items()
            if address not in known or not change.is_part_of(known[address])
        ]
    return reasons


def main(arguments: list[str] | None = None) -> int:
    """Check a plan and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy.guard", description=__doc__.partition("\n")[0])
    parser.add_argument("plan", type=Path, help="the plan in JSON")
    parser.add_argument("--approved", type=Path, help="the plan that was approved, in JSON")
    options = parser.parse_args(arguments)
    approved = json.loads(options.approved.read_bytes()) if options.approved else None
    reasons = refusals(json.loads(options.plan.read_bytes()), approved)
    for reason in reasons:
        sys.stderr.write(f"the plan {reason}\n")
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
