#!/bin/sh
# Scan images for known vulnerabilities, and fail if one is critical. Arguments: images, and first --remote if they are
# in a registry, not on this machine.
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
