#!/bin/sh
# Before Terraform: name the images by their digests, fetch the environment's variables from beside its state, keep
# the bills of materials there, and pin the traffic of functions that serve, so that new revisions get none.
set -eu
. infra/deploy/names.sh

digest() {
  gcloud artifacts docker images describe "$REGISTRY/$1:$VERSION" --format='value(image_summary.fully_qualified_digest)'
}

jobs=$(digest jobs) score=$(digest score) label=$(digest label)
printf '{"jobs_image": "%s", "function_images": {"score": "%s", "label": "%s"}}\n' "$jobs" "$score" "$label" \
  >build/images.tfvars.json

bucket=$(sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "infra/terraform/environments/$ENVIRONMENT.gcs.tfbackend")
gcloud storage cp "gs://$bucket/$ENVIRONMENT.tfvars" build/environment.tfvars
if [ -e build/sbom-jobs.json ]; then
  gcloud storage cp build/sbom-*.json "gs://$bucket/sbom/$VERSION/"
fi

there=$(gcloud run services list --format='value(metadata.name)')
for service in $SERVICES; do
  if echo "$there" | grep -qx "$service"; then
    case $(gcloud run services describe "$service" --format='value(spec.traffic.latestRevision)') in
      *True*)
        serving=$(gcloud run services describe "$service" --format='value(status.latestReadyRevisionName)')
        gcloud run services update-traffic "$service" --to-revisions="$serving=100" --quiet
        ;;
    esac
  fi
done
