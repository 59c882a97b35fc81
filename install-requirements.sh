#!/bin/sh
# Installs the requirements named, with the pip of PYTHON:  PYTHON=.venv/bin/python sh install-requirements.sh requirements
#
#   LOCKED=1    exactly the versions of NAME.lock, every file checked by its hash; otherwise the ranges of NAME.txt
#   TORCH=cpu   the small CPU-only build of PyTorch. It has an index of its own, whose files have other hashes than those
#               in the lock files: torch and torchvision come at the pinned version without a check, and what only the
#               CUDA build needs is left out.
set -eu
cd "$(dirname "$0")"
name=$1
pip_install="${PYTHON:-python3} -m pip --disable-pip-version-check install --quiet"

if [ "${TORCH:-}" = cpu ]; then
  torch=$(sed -nE 's/^((torch|torchvision)==[^ ]+).*/\1/p' requirements.txt "$name.txt" | sort -u)
  # shellcheck disable=SC2086
  $pip_install --no-deps --index-url "${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}" $torch
fi

if [ "${LOCKED:-0}" != 1 ]; then
  $pip_install -r "$name.txt"
elif [ "${TORCH:-}" = cpu ]; then
  awk '/^[a-z]/ { keep = !/^((torch|torchvision|triton)==|nvidia-|cuda-)/ } keep' "$name.lock" |
    $pip_install --require-hashes --no-deps -r /dev/stdin
else
  $pip_install --require-hashes --no-deps -r "$name.lock"
fi
