#!/bin/sh
# Let the builds of main and of tags run in the private pool of their project (infra/terraform/bootstrap/pool.tf), whose
# machines have the type of the pool. Argument: its region. Checks stay outside: they run code of packages, and of pull
# requests. Commit the files.
set -eu

pool="projects/\${PROJECT_ID}/locations/$1/workerPools/pix"
for file in cloudbuild.yaml infra/deploy/cloudbuild.attest.yaml infra/deploy/cloudbuild.plan.yaml \
  infra/deploy/cloudbuild.production.yaml infra/deploy/cloudbuild.promote.yaml infra/deploy/cloudbuild.staging.yaml; do
  awk -v pool="$pool" '
    /^  (machineType|pool): / { next }
    { print }
    /^options:$/ { print "  pool: {name: \"" pool "\"}" }
  ' "$file" >"$file.pooled"
  mv "$file.pooled" "$file"
done
