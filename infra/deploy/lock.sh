#!/bin/sh
# Lock the environment, because two concurrent deployments could move traffic to a revision that neither has tested.
# The lock is an object that holds the id of a build. A lock left by a finished build is taken over, whatever its
# result. For a running build, wait at most 30 minutes.
set -eu
. infra/deploy/names.sh

echo "$BUILD" >build/lock
put() {
  gcloud storage cp build/lock "$LOCK" --if-generation-match="$1"
}

# Read the holder of one generation and replace only that generation, so that a build which takes the lock in between
# keeps it.
take() {
  if put 0; then return; fi
  held=$(gcloud storage objects describe "$LOCK" --format='value(generation,creation_time)') || return 1
  generation=${held%%[!0-9]*}
  holder=$(gcloud storage cat "$LOCK#$generation") || return 1
  if [ "$holder" = "$BUILD" ]; then return; fi # our own write, whose answer was lost
  status=$(gcloud builds describe "$holder" --region="$REGION" --format='value(status)') || return 1
  case $status in
    SUCCESS | FAILURE | INTERNAL_ERROR | TIMEOUT | CANCELLED | EXPIRED) put "$generation" ;;
    *)
      echo "build $holder ($status) has been deploying since ${held#*[!0-9]}" >&2
      return 1
      ;;
  esac
}

tries=60
until take; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo "could not take the lock $LOCK in 30 minutes; run the pipeline again once the other deployment has finished" >&2
    exit 1
  fi
  sleep 30
done
