#!/bin/sh
# Copy the images of this version that the other environment has marked as proven from its registry. Arguments: their
# names.
set -eu

for name in "$@"; do
  crane copy "$FROM_REGISTRY/$name:proven-$VERSION" "$REGISTRY/$name:$VERSION"
done
