#!/usr/bin/env bash
# Check and time Segment Anything on a GPU: bench/gpu/run.sh [--device cuda:1] [--out DIR]
#
# Needs a Python with torch and torchvision, and no network: other packages are taken from
# bench/gpu/wheels if that folder has any (bench/gpu/pack.sh fills it), else they must be installed.
# Ends within 7 minutes. Writes DIR/gpu.md (one table) and DIR/gpu.log; exit status 1 if a check
# against the CPU failed. `--tiny --device cpu` tries the same with tiny networks in seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
wheels=${WHEELS:-bench/gpu/wheels}
out=out/gpu
previous=
for argument in "$@"; do
  [ "$previous" = --out ] && out=$argument
  previous=$argument
done
mkdir -p "$out"
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$wheels/*.whl" >/dev/null; then
  "$python" -m pip install --quiet --no-index --no-deps --target "$site" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD/core:$PWD/backend:$PWD/bench:$site${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1
timeout 420 "$python" -m remask_bench.gpu "$@" 2> >(tee "$out/gpu.log" >&2)
