# Names that the steps of a deployment share: the functions, the one that the smoke test covers, the tag of its new
# revision, and the bucket of the environment's state.
# shellcheck shell=sh disable=SC2034
SERVICES="pix-score pix-label"
TRIED=pix-score
TAG=candidate
BUCKET=$(sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "infra/terraform/environments/$ENVIRONMENT.gcs.tfbackend")
LOCK=gs://$BUCKET/$ENVIRONMENT.deploying
mkdir -p build
