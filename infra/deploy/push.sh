#!/bin/sh
# Push the images of this version. Arguments: their names.
set -eu

for name in "$@"; do
  docker push "$REGISTRY/$name:$VERSION"
done
