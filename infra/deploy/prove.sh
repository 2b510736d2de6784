#!/bin/sh
# Mark the images of this deployment as proven, by digest; promote.sh copies only marked ones. Arguments: their names.
set -eu

for name in "$@"; do
  image=$(cat "build/$name.image")
  if [ "$(crane digest "${image%@*}:proven-$VERSION" 2>/dev/null)" != "${image#*@}" ]; then
    crane tag "$image" "proven-$VERSION"
  fi
done
