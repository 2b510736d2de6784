#!/bin/sh
# Record the services, with the case desk where there is one, and the revisions that Terraform made, and tag those to test,
# which gives them an address but no traffic. A revision with another image belongs to a concurrent deployment and fails
# this one.
set -eu
. infra/deploy/names.sh

there=$(gcloud run services list --format='value(metadata.name)')
if echo "$there" | grep -qx "$DESK"; then SERVICES="$SERVICES $DESK"; fi
echo "$SERVICES" >build/services

for service in $SERVICES; do
  revision=$(gcloud run services describe "$service" --format='value(status.latestCreatedRevisionName)')
  image=$(gcloud run revisions describe "$revision" --format='value(spec.containers[0].image)')
  if [ "$image" != "$(cat "build/${service#pix-}.image")" ]; then
    echo "$revision runs $image, which is not an image of this deployment" >&2
    exit 1
  fi
  echo "$revision" >"build/$service.revision"
done
for service in $SERVICES; do
  gcloud run services update-traffic "$service" --update-tags="$TAG=$(cat "build/$service.revision")" --quiet
done

# Once a model serves, the smoke test must fail for a score without the model or without history. The HTTP status of
# models/current.json shows whether a model serves; any status but 200 and 404 ends the deployment.
status=$(curl --silent --output /dev/null --write-out '%{http_code}' \
  --header "Authorization: Bearer $(gcloud auth print-access-token)" \
  "https://storage.googleapis.com/storage/v1/b/$PROJECT-pix-models/o/models%2Fcurrent.json")
case $status in
  200) echo --full >build/smoke-options ;;
  404) : >build/smoke-options ;;
  *)
    echo "Cloud Storage answers $status for models/current.json, so it is unknown whether a model serves" >&2
    exit 1
    ;;
esac
