#!/bin/sh
# Mark the images of this deployment as proven, by digest; promote.sh copies only marked ones. Arguments: their names.
set -eu

for name in "$@"; do
  crane tag "$(cat "build/$name.image")" "proven-$VERSION"
done
