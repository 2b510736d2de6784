#!/bin/sh
# Send one invented Pix to the revision that is tried, and note that its row came. traffic.sh acts on that.
set -eu

rm -f build/smoked
# shellcheck disable=SC2046 # none or one word
GOOGLE_CLOUD_PROJECT=$PROJECT .venv/bin/python -m infra.deploy.smoke --topic pix-smoke --timeout 180 $(cat build/smoke-options)
touch build/smoked
