"""A staged source holds what its function imports, and nothing of training."""

import subprocess
import sys

import pytest

from infra.stage import FUNCTIONS, stage

TRAINING = ("sklearn", "mlflow", "pandas", "numba", "pyarrow", "joblib", "skl2onnx")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_staged_folder_imports_by_itself_and_without_training(function, tmp_path):
    folder = stage(function, tmp_path / "source")
    blocked = f"""
import sys
for name in {TRAINING!r}:
    sys.modules[name] = None
sys.path.insert(0, {str(folder)!r})
import main, shared
assert shared.__file__.startswith({str(folder)!r})
assert callable(main.{function})
import shared.wiring, shared.adapters.otel_metrics
assert "opentelemetry.sdk" not in sys.modules, "a cold start pays for metrics"
"""
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    locked = (folder / "requirements.txt").read_text()
    assert not [name for name in ("scikit-learn", *TRAINING) if f"\n{name}==" in locked]
