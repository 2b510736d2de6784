#!/bin/sh
# Let one deployment at a time change an environment: two could give traffic to a revision that neither has tried. The
# lock is an object that holds the id of a build; that of a build which is over, however it ended, counts for nothing.
# Another one is waited for, half an hour at most.
set -eu
. infra/deploy/names.sh

echo "$BUILD" >build/lock
put() {
  gcloud storage cp build/lock "$LOCK" --if-generation-match="$1"
}

# The holder is read of one generation, and that one alone is replaced: whoever took the lock meanwhile keeps it.
take() {
  if put 0; then return; fi
  held=$(gcloud storage objects describe "$LOCK" --format='value(generation,creation_time)') || return 1
  generation=${held%%[!0-9]*}
  holder=$(gcloud storage cat "$LOCK#$generation") || return 1
  if [ "$holder" = "$BUILD" ]; then return; fi # what a first try wrote, whose answer was lost
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
    echo "the lock $LOCK was not to be had; try again when the other deployment is over" >&2
    exit 1
  fi
  sleep 30
done
