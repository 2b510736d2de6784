#!/bin/sh
# Mark the images that this deployment has tried, by their digests: promote.sh takes no other. Arguments: their names.
set -eu

for name in "$@"; do
  crane tag "$(cat "build/$name.image")" "proven-$VERSION"
done
