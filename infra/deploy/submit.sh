#!/bin/sh
# Start a build of the pipeline from this checkout, and wait for its end. Argument: its file. Needs ENVIRONMENT, PROJECT,
# REGION and, as the file has empty substitutions for them, BASE_DIGEST, BUILDER and RUN_IMAGE, or FROM_REGISTRY. Checks run as the
# account without rights, the build of images as the one that pushes them, attestations as the one that makes them; the others
# deploy.
set -eu
VERSION=$(git rev-parse HEAD)
. infra/deploy/names.sh

if grep -q '^ *name: [^@]*$' "$1"; then
  echo "builders of $1 have no digest: run infra/deploy/digests.sh, and commit the files" >&2
  exit 1
fi
case $1 in
  cloudbuild.yaml) account=pix-build ;;
  infra/deploy/cloudbuild.checks.yaml) account=pix-test ;;
  infra/deploy/cloudbuild.attest.yaml | infra/deploy/cloudbuild.promote.yaml) account=pix-attest ;;
  *) account=pix-deploy ;;
esac
given=
for name in BASE_DIGEST BUILDER FROM_REGISTRY REGION RUN_IMAGE; do
  if grep -q "^  _$name: " "$1"; then
    eval "given=\$given,_$name=\$$name"
  fi
done
gcloud builds submit --config="$1" --project="$PROJECT" --region="$REGION" \
  --service-account="projects/$PROJECT/serviceAccounts/$account@$PROJECT.iam.gserviceaccount.com" \
  --gcs-source-staging-dir="gs://$BUCKET/source" --substitutions="COMMIT_SHA=$VERSION$given"
