#!/bin/sh
# Move the traffic to the new revisions by steps if the smoke test passed: 1 %, 10 %, then all. After a step, wait OBSERVE
# seconds; if gate.py finds a new revision worse than the one before it, take all traffic back. Fail the build if not all
# traffic has moved. A service without an earlier revision gets all at once.
set -eu
. infra/deploy/names.sh
SERVICES=$(cat build/services)

OBSERVE=${OBSERVE:-600}
move() {
  for service in $SERVICES; do
    if [ -e "build/$service.pinned" ] || [ "$1" -eq 100 ]; then
      gcloud run services update-traffic "$service" --to-revisions="$(cat "build/$service.revision")=$1" --quiet
    fi
  done
}
good() {
  for service in $SERVICES; do
    if [ -e "build/$service.pinned" ]; then
      ACCESS_TOKEN=$(gcloud auth print-access-token) python3 infra/deploy/gate.py "$PROJECT" "$service" \
        "$(cat "build/$service.revision")" "$OBSERVE" || return 1
    fi
  done
}

there=no
for service in $SERVICES; do
  if [ -e "build/$service.pinned" ]; then there=yes; fi
done
if [ "$there" = no ]; then STEPS=; fi

result=refused
if [ -e build/smoked ]; then
  result=moved
  for percent in $STEPS; do
    move "$percent"
    sleep "$OBSERVE"
    if ! good; then
      move 0
      result=worse
      break
    fi
  done
  if [ "$result" = moved ]; then move 100; fi
fi
for service in $SERVICES; do
  gcloud run services update-traffic "$service" --remove-tags="$TAG" --quiet
done
case $result in
  refused) echo "the smoke test failed, so traffic stays on the old revisions; read the log of step smoke" >&2 ;;
  worse) echo "a new revision did worse than the old one, so all traffic is back on the old revisions" >&2 ;;
esac
[ "$result" = moved ]
