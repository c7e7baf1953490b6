"""The written configurations pass the check that Label Studio makes when a project is saved."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from remask_label_config.pages.extend import extend_labelling_config
from remask_label_config.pages.live import write_labelling_config

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-label-studio" / "bin" / "python"

TEAM = """<View><Image name="image" value="$image"/>
<KeyPointLabels name="kp" toName="image"><Label value="a"/><Label value="b"/></KeyPointLabels>
<BrushLabels name="tag" toName="image"><Label value="a"/><Label value="b"/></BrushLabels>
</View>"""

CHECK = """
import os, sys
import label_studio
sys.path.insert(0, os.path.dirname(label_studio.__file__))
os.environ["DJANGO_SETTINGS_MODULE"] = "label_studio.core.settings.label_studio"
import django
django.setup()
from core.label_config import validate_label_config
for name in sys.argv[1:]:
    validate_label_config(open(name, encoding="utf-8").read())
    print("ok", name)
"""


def test_label_studio_accepts_them(tmp_path: Path) -> None:
    if not PYTHON.is_file():
        pytest.skip(f"needs Label Studio in a virtual environment of its own, at {PYTHON}")
    policy = 'Whole animals only.\n$5 for every <missed> "tail" & paw.'
    names = ['a "quoted" name', "<b> & c", "žluťoučký kůň", 'name="x"', "cat"]
    files: list[Path] = []
    for kind in ("brush", "bitmask"):
        files.append(tmp_path / f"{kind}.xml")
        # The type of the loop variable is wider than the parameter's.
        xml = write_labelling_config(names, kind=kind, policy=policy)  # type: ignore[arg-type]
        files[-1].write_text(xml, encoding="utf-8")
    extended = tmp_path / "extended.xml"
    extended.write_text(extend_labelling_config(TEAM), encoding="utf-8")
    files.append(extended)
    files += sorted((ROOT / "label_config" / "remask_label_config" / "pages").glob("live_*.xml"))

    done = subprocess.run(
        [PYTHON, "-c", CHECK, *files],
        env={**os.environ, "LABEL_STUDIO_BASE_DATA_DIR": str(tmp_path), "SENTRY_DSN": ""},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("ok ") == 5
