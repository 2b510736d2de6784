# What the steps of a deployment share: the functions, what is tried first, the tag by which that is reached, and the
# bucket in which the environment keeps its state.
# shellcheck shell=sh disable=SC2034
SERVICES="pix-score pix-label"
TRIED=pix-score
TAG=candidate
BUCKET=$(sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "infra/terraform/environments/$ENVIRONMENT.gcs.tfbackend")
LOCK=gs://$BUCKET/$ENVIRONMENT.deploying
mkdir -p build
