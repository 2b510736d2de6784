#!/bin/sh
# Copy the images of this version, as they were tested, from the registry of another environment. Arguments: their names.
set -eu

for name in "$@"; do
  crane copy "$FROM_REGISTRY/$name:$VERSION" "$REGISTRY/$name:$VERSION"
done
