"""Stubs of the tools that a deployment calls, and readers of its calls."""

import re
from pathlib import Path

from tests.infra.pipeline import DIGEST

REGISTRY = "southamerica-east1-docker.pkg.dev/bank/pix"
RUNNING = f"{REGISTRY}/jobs@sha256:{'0' * 64}"

# Stub of gcloud for a project in which all functions serve an older revision and a new one exists. HOLDER is the
# build that holds the lock at first, if any, and STATUS is the status of that build. INTRUDER, a running build, takes
# the lock right after the first read. $CALLS.lock holds the current generation, $CALLS.lock.N the holder of
# generation N.
GCLOUD = f"""lock=$CALLS.lock
held() {{ cat "$lock" 2>/dev/null || echo 0; }}
put() {{ echo "$2" >"$lock.$1"; echo "$1" >"$lock"; }}
look() {{ if [ "$INTRUDER" ] && [ ! -e "$lock.18" ]; then put 18 "$INTRUDER"; fi; }}
[ -z "$HOLDER" ] || [ -e "$lock.17" ] || put 17 "$HOLDER"
case "$*" in
  "artifacts docker images describe"*) echo "${{5%:*}}@{DIGEST}" ;;
  "artifacts docker images scan"*) echo "scan-of-$5" ;;
  "artifacts docker images list-vulnerabilities"*) printf 'HIGH\\tCVE-1\\n'; printf '%b\\n' "$CRITICAL" ;;
  "container binauthz attestations list"*) printf '%s\n' "$ATTESTED" ;;
  "run services list"*) printf '%s\\n' $THERE ;;
  *"--format=value(spec.traffic.latestRevision)") [ "$LATEST" != refused ] || exit 1; echo "$LATEST" ;;
  *"--format=value(status.latestReadyRevisionName)") echo "$4-old" ;;
  *"--format=value(status.latestCreatedRevisionName)") echo "$4-new" ;;
  "run revisions describe"*) name=${{4%-new}}; echo "{REGISTRY}/${{name#pix-}}@$MADE" ;;
  "run jobs list"*) [ "$JOBS" != refused ] || exit 1; printf '%s\\n' $JOBS ;;
  "run jobs describe"*) echo "{RUNNING}" ;;
  "storage cp build/lock"*) [ "${{5#*=}}" = "$(held)" ] && put 19 "$(cat "$3")" || exit 1 ;;
  "storage cat"*"#"*) cat "$lock.${{3##*#}}"; look ;;
  "storage cat"*) cat "$lock.$(held)"; look ;;
  "storage objects describe"*) [ -e "$lock" ] || exit 1; printf '%s\\t2026-11-20T14:32:05+0000\\n' "$(held)"; look ;;
  "storage rm"*) rm "$lock" ;;
  "builds list"*pix-test@*) printf '%b\\n' "$CHECKED" ;;
  "builds list"*pix-build@*) printf '%b\\n' "$BUILT" ;;
  "builds list"*pix-attest@*) printf '%b\\n' "$APPROVED" ;;
  "builds list"*pix-deploy@*) printf '%b\\n' "$DEPLOYED" ;;
  "builds describe"*) [ "$3" = "$INTRUDER" ] && echo WORKING || echo "$STATUS" ;;
esac
"""


def gcloud(**values: str) -> str:
    known = {
        "APPROVED": "SUCCESS",
        "ATTESTED": "[]",
        "BUILT": "SUCCESS",
        "CHECKED": "SUCCESS",
        "CRITICAL": "",
        "DEPLOYED": "SUCCESS",
        "HOLDER": "",
        "INTRUDER": "",
        "JOBS": "pix-drift pix-retrain",
        "LATEST": "",
        "MADE": DIGEST,
        "STATUS": "",
        "THERE": "pix-decide pix-label pix-outcome pix-score",
    }
    given = known | {name.upper(): value for name, value in values.items()}
    return " ".join(f"{name}={value!r}" for name, value in given.items()) + "\n" + GCLOUD


def storage(status: int = 200) -> str:
    """Return curl's stub, which answers this HTTP status for models/current.json."""
    return f"printf {status}"


NOT_PUSHED = 'case "$1" in manifest) exit 1 ;; esac\n'
"""Stub of docker for a registry without the images of this version."""


def crane(tag: str = "") -> str:
    """Return crane's stub: staging has every image, and our registry those of `tag`, if any."""
    ours = f"*{REGISTRY}/*:{tag}) echo {DIGEST} ;;" if tag else ""
    known = f"*staging*) echo {DIGEST} ;; {ours} *) exit 1 ;;"
    return f'case "$1" in digest) case "$2" in {known} esac ;; esac\n'


def python(smoke_passes: bool = True, migrates: bool = True) -> str:
    cases = [("infra.deploy.smoke", smoke_passes), ("infra.deploy.migrate", migrates)]
    return "".join(f'case "$*" in *{module}*) exit {0 if passes else 1} ;; esac\n' for module, passes in cases)


def answers(**tools: str) -> dict[str, str]:
    """Return stubs for a deployment without failures, except those given; `venv` is the working copy's Python."""
    named = {".venv" if name == "venv" else name: text for name, text in tools.items()}
    return {"gcloud": gcloud(), "curl": storage(), ".venv": python(), "docker": NOT_PUSHED, "crane": crane()} | named


def holds(folder: Path) -> str | None:
    """Return the build that holds the lock, or None."""
    lock = folder / "calls.lock"
    return Path(f"{lock}.{lock.read_text('utf-8').strip()}").read_text("utf-8").strip() if lock.exists() else None


def traffic(calls: list[str]) -> list[str]:
    """Return the revisions that got traffic."""
    return [found[1] for call in calls if (found := re.search(r"--to-revisions=(\S+)=100", call))]


def position(calls: list[str], pattern: str) -> int:
    return next(at for at, call in enumerate(calls) if re.search(pattern, call))


def moves(calls: list[str]) -> list[str]:
    """Return each move of traffic of pix-score, with the waits and judgements between."""
    pattern = r"pix-score --to-revisions=pix-score-new=(\d+)|^(sleep) |^python3 (\S+)"
    found = (re.search(pattern, call) for call in calls)
    return [next(filter(None, each.groups())) for each in found if each]
