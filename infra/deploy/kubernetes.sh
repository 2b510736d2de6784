#!/bin/sh
# Deploy the images of a version that the pipeline has deployed to GKE: to the cluster of kubectl's current context, with the
# overlay of the environment. Needs ENVIRONMENT, PROJECT, REGION and VERSION, a commit. Argument: show (the objects) or apply.
set -eu
. infra/deploy/names.sh

registry=$REGION-docker.pkg.dev/$PROJECT/pix
folder=build/kubernetes
digest() {
  gcloud artifacts docker images describe "$registry/$1:$VERSION" --project="$PROJECT" \
    --format='value(image_summary.digest)'
}

sh infra/deploy/succeeded.sh pix-deploy
mkdir -p "$folder"
jobs=$(digest jobs)
{
  echo "resources: [../../infra/kubernetes/overlays/$ENVIRONMENT]"
  echo "configMapGenerator:"
  echo "  - {name: pix-settings, namespace: pix, behavior: merge, literals: ['PIX_IMAGE=$registry/jobs@$jobs']}"
  echo "images:"
  echo "  - {name: pix/jobs, newName: $registry/jobs, digest: '$jobs'}"
  for service in $SERVICES $DESK; do
    name=${service#pix-}
    image=$(digest "$name")
    echo "  - {name: pix/$name, newName: $registry/$name, digest: '$image'}"
  done
} >"$folder/kustomization.yaml"

case $1 in
  show) kubectl kustomize "$folder" ;;
  apply)
    kubectl apply --server-side --kustomize "$folder"
    for service in $SERVICES $DESK; do
      kubectl rollout status "deployment/$service" --namespace=pix --timeout=15m
    done
    ;;
  *)
    echo "show or apply, not $1" >&2
    exit 2
    ;;
esac
