#!/bin/sh
# Refuse a plan that destroys data or, where a plan was approved, does more than that one. Argument: `tried` or
# `proven`.
set -eu

if [ -e build/approved.plan.json ]; then
  python -m infra.deploy.guard "build/$1.plan.json" --approved build/approved.plan.json
else
  python -m infra.deploy.guard "build/$1.plan.json"
fi
