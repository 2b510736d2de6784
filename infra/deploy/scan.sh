#!/bin/sh
# Scan images for known vulnerabilities, and fail on a critical one. Arguments: --remote, if the images are in a
# registry rather than on this machine, then the images.
set -eu

where=
if [ "$1" = --remote ]; then
  where=--remote
  shift
fi
found=0
for image in "$@"; do
  scan=$(gcloud artifacts docker images scan "$image" $where --format='value(response.scan)')
  critical=$(gcloud artifacts docker images list-vulnerabilities "$scan" \
    --filter='vulnerability.effectiveSeverity=CRITICAL' --format='value(vulnerability.shortDescription)')
  if [ -n "$critical" ]; then
    echo "$image has critical vulnerabilities: $critical" >&2
    found=1
  fi
done
exit "$found"
