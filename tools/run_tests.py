"""Run all tests in two processes at once: half of their time is waiting for servers and browsers.

Usage: python tools/run_tests.py [options of pytest]

The tests with real servers but without a browser run beside all others. Each half starts the
servers that it needs. The second half's output is printed when it has ended.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

BESIDE = "tests/integration"
NO_TESTS = 5
"""pytest's exit code where options leave no test of a half."""


def main(options: list[str]) -> int:
    """Return 0 if both halves pass, else the exit code of one that does not."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not gpu", *options]
    with tempfile.TemporaryFile("w+") as output:
        # Not by a shell's `&`: what a shell starts so cannot be interrupted, nor what it starts.
        beside = subprocess.Popen([*command, BESIDE], stdout=output, stderr=subprocess.STDOUT)
        codes = []
        try:
            codes.append(subprocess.call([*command, "tests", f"--ignore={BESIDE}"]))
        finally:
            codes.append(beside.wait())
            output.seek(0)
            print(f"\n== {BESIDE}", flush=True)
            print(output.read(), flush=True)
    return max(0 if code == NO_TESTS else abs(code) for code in codes)


if __name__ == "__main__":
    if not Path(BESIDE).is_dir():
        sys.exit(f"{BESIDE} is not here; run this from the repository's root")
    sys.exit(main(sys.argv[1:]))
