# What the steps of a deployment share: the functions, what is tried first, and the tag by which that is reached.
# shellcheck shell=sh disable=SC2034
SERVICES="pix-score pix-label"
TRIED=pix-score
TAG=candidate
mkdir -p build
