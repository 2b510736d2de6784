#!/bin/sh
# Copy the images of this version that the other environment has marked as proven from its registry. Arguments: their
# names. Tags cannot be moved, so what was copied before is left.
set -eu

for name in "$@"; do
  proven=$(crane digest "$FROM_REGISTRY/$name:proven-$VERSION")
  if [ "$(crane digest "$REGISTRY/$name:$VERSION" 2>/dev/null)" != "$proven" ]; then
    crane copy "$FROM_REGISTRY/$name@$proven" "$REGISTRY/$name:$VERSION"
  fi
done
