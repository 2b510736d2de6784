#!/bin/sh
# Plan with the state and the variables of the environment, and print the plan. Argument: the file of images made by
# prepare.sh, `tried` or `proven`.
set -eu

export TF_IN_AUTOMATION=1 TF_INPUT=0
terraform -chdir=infra/terraform init -reconfigure -backend-config="environments/$ENVIRONMENT.gcs.tfbackend"
terraform -chdir=infra/terraform plan -lock-timeout=300s -var-file="$PWD/build/environment.tfvars" \
  -var-file="$PWD/build/$1.tfvars.json" -var="environment=$ENVIRONMENT" -var="project_id=$PROJECT" \
  -var="region=$REGION" -out="$PWD/build/$1.plan"
terraform -chdir=infra/terraform show -json "$PWD/build/$1.plan" >"build/$1.plan.json"
