#!/bin/sh
# Apply exactly what was planned, with the images of prepare.sh and the state of the environment.
set -eu

export TF_IN_AUTOMATION=1 TF_INPUT=0
plan=$PWD/build/plan
terraform -chdir=infra/terraform init -backend-config="environments/$ENVIRONMENT.gcs.tfbackend"
terraform -chdir=infra/terraform plan -var-file="$PWD/build/environment.tfvars" \
  -var-file="$PWD/build/images.tfvars.json" -var="environment=$ENVIRONMENT" -var="project_id=$PROJECT" \
  -var="region=$REGION" -out="$plan"
terraform -chdir=infra/terraform apply "$plan"
