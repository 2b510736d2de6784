#!/bin/sh
# Push the images of this version. Arguments: their names. Tags cannot be moved, so an image that an earlier build of the
# same commit has pushed stays.
set -eu

for name in "$@"; do
  if docker manifest inspect "$REGISTRY/$name:$VERSION" >/dev/null 2>&1; then
    echo "$REGISTRY/$name:$VERSION is there already"
  else
    docker push "$REGISTRY/$name:$VERSION"
  fi
done
