# Names that the steps of a deployment share: the functions, those that the smoke test covers, the tag of their new
# revisions, and the bucket of the environment's state.
# shellcheck shell=sh disable=SC2034
SERVICES="pix-score pix-outcome pix-label"
TRIED="pix-score pix-outcome"
TAG=candidate
BUCKET=$(sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "infra/terraform/environments/$ENVIRONMENT.gcs.tfbackend")
LOCK=gs://$BUCKET/$ENVIRONMENT.deploying
mkdir -p build
