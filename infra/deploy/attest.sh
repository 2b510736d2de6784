#!/bin/sh
# Attest the images of this version, by digest, so that Cloud Run and GKE let them run
# (infra/terraform/bootstrap/admission.tf). Arguments: their names. It comes after what an attestation vouches for: in staging
# the checks and the build that pushed them, in production their copy from what staging has deployed, and their scan. Google
# refuses a second attestation of the same, so what this version of the key has attested before is left.
set -eu
. infra/deploy/names.sh

for name in "$@"; do
  image=$(gcloud artifacts docker images describe "$REGISTRY/$name:$VERSION" \
    --format='value(image_summary.fully_qualified_digest)')
  there=$(gcloud container binauthz attestations list --attestor="$ATTESTOR" --attestor-project="$PROJECT" \
    --artifact-url="$image" --project="$PROJECT" --format=json)
  case $there in
    *"/keyRings/$KEYRING/cryptoKeys/$ATTESTOR/cryptoKeyVersions/$SIGNED_BY\""*) echo "$image is attested already" ;;
    *)
      gcloud beta container binauthz attestations sign-and-create --artifact-url="$image" --project="$PROJECT" \
        --attestor="$ATTESTOR" --attestor-project="$PROJECT" --validate --keyversion-project="$PROJECT" \
        --keyversion-location="$REGION" --keyversion-keyring="$KEYRING" --keyversion-key="$ATTESTOR" \
        --keyversion="$SIGNED_BY"
      ;;
  esac
done
