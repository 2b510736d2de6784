#!/bin/sh
# Send one invented Pix to the candidate revision, and create build/smoked once its row has arrived. traffic.sh reads
# that file.
set -eu

rm -f build/smoked
# shellcheck disable=SC2046 # the file holds one option or none
GOOGLE_CLOUD_PROJECT=$PROJECT .venv/bin/python -m infra.deploy.smoke --topic pix-smoke --timeout 180 $(cat build/smoke-options)
touch build/smoked
