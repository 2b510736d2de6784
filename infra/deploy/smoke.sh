#!/bin/sh
# Send an invented Pix, its outcome, a report and a question to the candidate revisions, and create build/smoked once their rows have
# arrived. traffic.sh reads that file.
set -eu

rm -f build/smoked
# shellcheck disable=SC2046 # the file holds one option or none
GOOGLE_CLOUD_PROJECT=$PROJECT .venv/bin/python -m infra.deploy.smoke --candidates --timeout 180 $(cat build/smoke-options)
touch build/smoked
