"""OpenMP threads that spin while they wait make small fits take seconds on a busy machine, so they sleep."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
