"""Pictures that an artifact holds: the mean good image as the model sees it, and what it does not judge. No torch."""

from __future__ import annotations

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from common.errors import NotFound
from modelzoo.detectors.tensor_names import IGNORE_MASK, PREPROCESSING_PREFIX, REFERENCE_IMAGES
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import local_folder
from modelzoo.models import ModelVersion

_TENSORS = "model.safetensors"


def mean_image(version: ModelVersion) -> np.ndarray:
    """uint8 [H,W,3], RGB: the mean of the good images that are stored with a model, as it sees them.

    Raises `NotFound` where the artifact is not there, or older than those images.
    """
    images = _tensor(version, REFERENCE_IMAGES)
    mean = images.mean(axis=0, dtype=np.float64)
    return np.clip(mean + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def ignored(version: ModelVersion) -> np.ndarray:
    """bool [H,W] in the model's pixels: what is not judged. Raises `NotFound` where everything is."""
    if not version.preprocessing.get("ignore_mask"):
        raise NotFound(f"{version} has no mask: it judges the whole image.", code="ignore_mask_not_found")
    return _tensor(version, PREPROCESSING_PREFIX + IGNORE_MASK)


def as_png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 [H,W,3], or black and white, one bit for each pixel, of bool [H,W]."""
    if pixels.dtype == bool:
        done, data = cv2.imencode(".png", pixels.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    else:
        done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"a picture of shape {pixels.shape} cannot be written as PNG")
    return data.tobytes()


def _tensor(version: ModelVersion, name: str) -> np.ndarray:
    try:
        with safe_open(local_folder(version) / _TENSORS, framework="numpy") as tensors:
            return np.asarray(tensors.get_tensor(name))
    except (OSError, SafetensorError, ArtifactFault) as error:
        raise NotFound(
            f"The artifact of {version} cannot be read, or it has no such picture. Restore it from a backup.",
            code="artifact_picture_not_found",
        ) from error
