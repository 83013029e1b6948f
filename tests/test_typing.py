"""The script of a user, which `make lint` checks, runs."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "typing" / "user_script.py"


def test_the_user_script_runs():
    process = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT], cwd=SCRIPT.parents[2], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "2 mnist-2 (3,)" in process.stdout
