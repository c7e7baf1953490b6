"""The prepared GPU run on the CPU, with tiny networks, so that it works when a GPU is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from remask_bench.gpu import main

RUN = Path(__file__).parents[2] / "bench" / "gpu" / "run.sh"


def test_the_run_checks_and_then_times_every_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [RUN, "--tiny", "--device", "cpu", "--out", tmp_path],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            "WHEELS": str(tmp_path / "none"),
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    table = (tmp_path / "gpu.md").read_text()
    assert done.stdout == table
    assert table.startswith("CPU, torch ")
    assert "failed" not in table
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| tiny_")]
    for network in ("tiny_sam", "tiny_sam2"):
        whats = [row[1] for row in rows if row[0] == f"| {network}"]
        assert whats[0] == "error against the CPU, float32"
        assert "encoder, images/s" in whats
        assert "click on a known image, p50, ms" in whats
    exact = [float(row[2]) for row in rows if row[1].endswith("float32")]
    assert all(error < 1e-4 for error in exact)
    assert "Row(" in (tmp_path / "gpu.log").read_text()


def test_nothing_is_begun_when_the_time_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--tiny", "--device", "cpu", "--limit-s", "0", "--out", str(tmp_path)]

    assert main(asked) == 0

    assert capsys.readouterr().out.count("not begun, no time left") == 2


def test_a_device_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--tiny", "--device", "cuda:77"])

    assert left.value.code == 2
    assert "`device` is cuda:77" in capsys.readouterr().err
