#!/bin/sh
# Prepare Terraform: resolve the images to digests, fetch the environment's variables from the bucket of its state, and
# store the bills of materials there. It changes nothing that serves.
#
# There are two files of images. In the first, `tried`, jobs and MLflow keep their current image; in the second, `proven`,
# applied once all traffic has moved, they get the new one. A job that starts before then must not swap a model with
# untested code.
set -eu
. infra/deploy/names.sh

digest() {
  gcloud artifacts docker images describe "$REGISTRY/$1:$VERSION" --format='value(image_summary.fully_qualified_digest)'
}
images() {
  printf '{"jobs_image": "%s", "desk_image": "%s", "function_images": {%s}}\n' "$1" "$desk" "$functions"
}

jobs=$(digest jobs) desk=$(digest "${DESK#pix-}") functions=
echo "$jobs" >build/jobs.image
echo "$desk" >"build/${DESK#pix-}.image"
for service in $SERVICES; do
  name=${service#pix-}
  image=$(digest "$name")
  echo "$image" >"build/$name.image"
  functions="$functions${functions:+, }\"$name\": \"$image\""
done
running=$jobs
there=$(gcloud run jobs list --format='value(metadata.name)')
if echo "$there" | grep -qx pix-retrain; then
  running=$(gcloud run jobs describe pix-retrain \
    --format='value(spec.template.spec.template.spec.containers[0].image)')
fi
images "$running" >build/tried.tfvars.json
images "$jobs" >build/proven.tfvars.json

gcloud storage cp "gs://$BUCKET/$ENVIRONMENT.tfvars" build/environment.tfvars
if [ -e build/sbom-jobs.json ]; then
  gcloud storage cp build/sbom-*.json "gs://$BUCKET/sbom/$VERSION/"
fi
