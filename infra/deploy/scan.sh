#!/bin/sh
# Scan images for known vulnerabilities, and fail on a critical one, unless it is tolerated for some days more. Arguments:
# --remote, if the images are in a registry rather than on this machine, then the images.
set -eu

where=
if [ "$1" = --remote ]; then
  where=--remote
  shift
fi
tolerated=$(sh infra/deploy/tolerated.sh)
found=0
for image in "$@"; do
  scan=$(gcloud artifacts docker images scan "$image" $where --format='value(response.scan)')
  vulnerabilities=$(gcloud artifacts docker images list-vulnerabilities "$scan" \
    --format='value(vulnerability.effectiveSeverity,vulnerability.shortDescription)')
  critical=$(printf '%s\n' "$tolerated" "$vulnerabilities" | awk '
    $1 ~ /-/ { until[$1] = $2; next } # no severity has a hyphen
    $1 == "CRITICAL" && $2 in until { print $2 " is tolerated until " until[$2] >"/dev/stderr"; next }
    $1 == "CRITICAL" { print $2 }
  ')
  if [ -n "$critical" ]; then
    echo "$image has critical vulnerabilities: $critical" >&2
    found=1
  fi
done
exit "$found"
