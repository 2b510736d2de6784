#!/bin/sh
# Wait for the images of this version, which cloudbuild.yaml pushes once all its checks have passed; two hours at most.
set -eu
. infra/deploy/names.sh

built() {
  for service in jobs $SERVICES $DESK; do
    gcloud artifacts docker images describe "$REGISTRY/${service#pix-}:$VERSION" --format='value(image_summary.digest)' ||
      return 1
  done
}

tries=240
until built; do
  status=$(gcloud builds list --region="$REGION" --limit=1 --format='value(status)' \
    --filter="substitutions.COMMIT_SHA=$VERSION AND substitutions.TRIGGER_NAME=pix-build")
  tries=$((tries - 1))
  case $status in
    FAILURE | INTERNAL_ERROR | TIMEOUT | CANCELLED | EXPIRED) tries=0 ;;
  esac
  if [ "$tries" -eq 0 ]; then
    echo "there are no images of $VERSION: let pix-build succeed (it says: ${status:-nothing}), then run this again" >&2
    exit 1
  fi
  sleep 30
done
