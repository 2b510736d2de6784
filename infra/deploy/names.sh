# Names that the steps of a deployment share: the functions, the case desk, the tag of new revisions, the steps of their
# traffic before all of it (%), the attestor of images with its ring of keys and the version that signs, the bucket of the
# environment's state, its lock, and the plan of this version that was shown for approval.
# shellcheck shell=sh disable=SC2034
SERVICES="pix-score pix-decide pix-outcome pix-label"
DESK=pix-console
TAG=candidate
STEPS="1 10"
ATTESTOR=pix-images
KEYRING=pix-bootstrap
SIGNED_BY=1
BUCKET=$(sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "infra/terraform/environments/$ENVIRONMENT.gcs.tfbackend")
LOCK=gs://$BUCKET/$ENVIRONMENT.deploying
APPROVED=gs://$BUCKET/plans/$ENVIRONMENT/$VERSION.json
mkdir -p build
