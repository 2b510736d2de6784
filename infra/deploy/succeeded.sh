#!/bin/sh
# Wait until a build of this version has succeeded as each of these accounts; two hours at most. Arguments: the accounts. The
# builds are those of this project or, with FROM_REGISTRY, of the one of that registry. Accounts tell builds apart: what runs
# in one can neither change its result nor start a build as another account.
set -eu

location=$REGION
built_in=$PROJECT
if [ "${FROM_REGISTRY:-}" ]; then
  location=${FROM_REGISTRY%%-docker.pkg.dev/*}
  built_in=${FROM_REGISTRY#*/}
  built_in=${built_in%%/*}
fi
statuses_of() { # newest first
  gcloud builds list --project="$built_in" --region="$location" --format='value(status)' \
    --filter="substitutions.COMMIT_SHA=$VERSION AND serviceAccount~/$1@"
}

tries=240
for account in "$@"; do
  until statuses=$(statuses_of "$account") && echo "$statuses" | grep -qx SUCCESS; do
    newest=$(echo "$statuses" | head -n 1)
    tries=$((tries - 1))
    case $newest in
      FAILURE | INTERNAL_ERROR | TIMEOUT | CANCELLED | EXPIRED) tries=0 ;;
    esac
    if [ "$tries" -le 0 ]; then
      echo "$VERSION is not ready: let its build as $account in $built_in succeed (${newest:-none}), then run this again" >&2
      exit 1
    fi
    sleep 30
  done
done
