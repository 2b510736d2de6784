#!/bin/sh
# Wait until the checks of this version have passed and its images are pushed; two hours at most. Both are builds of their
# own, and accounts tell them apart: what runs as pix-test can neither push nor change the result of its build.
set -eu
. infra/deploy/names.sh

built() {
  for service in jobs $SERVICES $DESK; do
    gcloud artifacts docker images describe "$REGISTRY/${service#pix-}:$VERSION" --format='value(image_summary.digest)' ||
      return 1
  done
}
status_of() {
  gcloud builds list --region="$REGION" --limit=1 --format='value(status)' \
    --filter="substitutions.COMMIT_SHA=$VERSION AND serviceAccount~/$1@"
}

tries=240
until checked=$(status_of pix-test) && [ "$checked" = SUCCESS ] && built; do
  status=$(status_of pix-build)
  tries=$((tries - 1))
  case "$checked $status" in
    *FAILURE* | *INTERNAL_ERROR* | *TIMEOUT* | *CANCELLED* | *EXPIRED*) tries=0 ;;
  esac
  if [ "$tries" -eq 0 ]; then
    echo "$VERSION is not ready: let its checks (${checked:-none}) and pix-build (${status:-none}) succeed, then run this again" >&2
    exit 1
  fi
  sleep 30
done
