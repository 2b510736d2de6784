#!/bin/sh
# Pin the images of all builders in the files of the pipeline by their digests of today, where the registries can be
# reached. Run it again after a change of a version.
set -eu

sed -n 's/^ *name: \([^ @]*:[^ @]*\).*$/\1/p' cloudbuild.yaml infra/deploy/cloudbuild.*.yaml | sort -u | while read -r image; do
  digest=$(crane digest "$image")
  for file in cloudbuild.yaml infra/deploy/cloudbuild.*.yaml; do
    sed "s|name: $image\(@sha256:[0-9a-f]*\)\{0,1\}\$|name: $image@$digest|" "$file" >"$file.pinned"
    mv "$file.pinned" "$file"
  done
done
