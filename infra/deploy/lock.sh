#!/bin/sh
# Let one deployment at a time change an environment: two could give traffic to a revision that neither has tried. The
# lock is an object that holds the id of a build; that of a build which is over, however it ended, counts for nothing.
set -eu
. infra/deploy/names.sh

echo "$BUILD" >build/lock
take() {
  gcloud storage cp build/lock "$LOCK" --if-generation-match="$1"
}

if take 0; then exit; fi
holder=$(gcloud storage cat "$LOCK")
held=$(gcloud storage objects describe "$LOCK" --format='value(generation,creation_time)')
status=$(gcloud builds describe "$holder" --region="$REGION" --format='value(status)')
case $status in
  SUCCESS | FAILURE | INTERNAL_ERROR | TIMEOUT | CANCELLED | EXPIRED) take "${held%%[!0-9]*}" ;;
  *)
    echo "build $holder ($status) has been deploying since ${held#*[!0-9]}; try again when it is over" >&2
    exit 1
    ;;
esac
