#!/bin/sh
# Apply exactly the plan that plan.sh made and guard.sh let pass. Argument: `tried` or `proven`.
set -eu

export TF_IN_AUTOMATION=1 TF_INPUT=0
terraform -chdir=infra/terraform apply -lock-timeout=300s "$PWD/build/$1.plan"
