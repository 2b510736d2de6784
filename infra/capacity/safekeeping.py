"""Estimate the monthly cost of safekeeping: files and backups of the store, keys, and scans."""

from __future__ import annotations

from infra.capacity.figures import Known, Prices
from infra.capacity.plan import REPLICAS, Plan

DAYS, SECONDS = 30, 30 * 86_400
BACKUP_DAYS = 7
"""`valkey_backup_days` of infra/terraform; a backup is made each day."""
KEY_ROTATION_DAYS = 90
"""`kms_rotation_days` of infra/terraform/bootstrap. Earlier versions stay, as they decrypt their own data."""
SIGNING_KEYS = 2
"""Keys that sign: models, and the digests of images. Each has one version, until a person makes another."""
SIGNATURES = 2
"""Signatures of a training: of a manifest, and of the pointer."""
IMAGES = 6
"""Images that cloudbuild.yaml scans, and infra/deploy/attest.sh signs."""


def cost_of_files(plan: Plan, prices: Prices) -> float:
    """Return the cost of the append-only files of all nodes, in USD; each has the size of its node."""
    price, nodes = prices.valkey, plan.valkey_shards * (1 + REPLICAS)
    return nodes * price.nodes[plan.valkey_node].writable_gb * price.aof_gb_month * price.region_factor


def cost_of_backups(plan: Plan, prices: Prices) -> float:
    """Return the cost of the daily backups that are kept, in USD; replicas are not backed up."""
    return BACKUP_DAYS * plan.valkey_gb * prices.valkey.backup_gb_month * prices.valkey.region_factor


def cost_of_keys(plan: Plan, known: Known, prices: Prices) -> float:
    """Return the cost of Cloud KMS, in USD: of keys that sign, and of the key of data for `months_kept` months.

    With `kms_key`, each read of the pointer by an instance is taken to be an operation. The other services keep the
    keys of their data for a time that Google does not publish; their operations are not counted.
    """
    versions = DAYS * known.assumed.months_kept.value / KEY_ROTATION_DAYS
    of_data = _cost_of_uses(versions, SECONDS * plan.pointer_reads_s, prices)
    return of_data + cost_of_signing(known, prices)


def cost_of_signing(known: Known, prices: Prices) -> float:
    """Return the cost of the keys that sign models and images, in USD, and of their signatures."""
    assumed = known.assumed
    signatures = SIGNATURES * assumed.trainings_a_month.value + IMAGES * assumed.builds_a_month.value
    return _cost_of_uses(SIGNING_KEYS, signatures, prices)


def _cost_of_uses(versions: float, operations: float, prices: Prices) -> float:
    return versions * prices.kms.version_month + operations / 10_000 * prices.kms.ten_thousand_operations


def cost_of_scans(known: Known, prices: Prices) -> float:
    """Return the cost of the scans of images for vulnerabilities, in USD; each build scans all of them once."""
    return IMAGES * known.assumed.builds_a_month.value * prices.scans.image


def added_cost(plan: Plan, known: Known, prices: Prices) -> float:
    """Return what backups, signed models and attested images have added to the bill, in USD.

    Append-only files, scans and a key of data were there before. `infra.capacity.report.UNCOUNTED` names changes that
    have no figure.
    """
    return cost_of_backups(plan, prices) + cost_of_signing(known, prices)
