#!/bin/sh
# Copy the images of this version from the registry of the other environment, where they have been deployed (succeeded.sh).
# Arguments: their names. Tags cannot be moved, so what was copied before is left.
set -eu

for name in "$@"; do
  deployed=$(crane digest "$FROM_REGISTRY/$name:$VERSION")
  if [ "$(crane digest "$REGISTRY/$name:$VERSION" 2>/dev/null)" != "$deployed" ]; then
    crane copy "$FROM_REGISTRY/$name@$deployed" "$REGISTRY/$name:$VERSION"
  fi
done
