"""Variables of the evaluated deployments."""

from __future__ import annotations

from infra.deploy.stage import FUNCTIONS

KEY = "projects/keys/locations/southamerica-east1/keyRings/pix/cryptoKeys/pix"
DIGEST = f"sha256:{'b' * 64}"
IMAGES = {  # set by prepare.sh
    "function_images": {name: f"southamerica-east1-docker.pkg.dev/p/pix/{name}@{DIGEST}" for name in FUNCTIONS},
    "desk_image": f"southamerica-east1-docker.pkg.dev/p/pix/console@{DIGEST}",
    "jobs_image": f"southamerica-east1-docker.pkg.dev/p/pix/jobs@{DIGEST}",
}
SPARK_IMAGE = f"southamerica-east1-docker.pkg.dev/p/pix/spark@{DIGEST}"
OTHERWISE = {
    **IMAGES,
    "billing_account": None,
    "feed": "pull",
    "kms_key": KEY,
    "outcomes": "assumed",
    "notification_channels": ["projects/p/notificationChannels/1"],
    "retrain_engine": "spark",
    "settings": {"PIX_BATCH_MAX": "512"},
    "spark_image": SPARK_IMAGE,
    "topic_retention": "86400s",
    "valkey_iam": True,
}
