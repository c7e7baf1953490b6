#!/usr/bin/env bash
# Fetch the packages that bench/gpu/run.sh carries to a machine without a network, torch left out:
# bench/gpu/pack.sh [PYTHON_VERSION], by default that of this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
version=${1:-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
mkdir -p bench/gpu/wheels
"$python" -m pip download --quiet --no-deps --only-binary :all: --python-version "$version" \
  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --dest bench/gpu/wheels \
  --constraint constraints.txt segment-anything transformers timm safetensors huggingface-hub \
  tokenizers regex pyyaml platformdirs httpx httpcore h11 anyio sniffio certifi idna tqdm packaging \
  filelock fsspec typer httpx2 httpcore2 truststore typing-extensions scipy opencv-python-headless
