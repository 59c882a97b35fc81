"""The complete detector as one module of operations that compilers and ONNX know."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from modelzoo.detectors.base import Detector

# The network's weights are named so in what is made of the module; everything else has other names.
NETWORK = "network."


class Portable(nn.Module):
    """uint8 [B,3,H,W], RGB, as `detector.prepare` gives it, to (maps float32 [B,H,W], scores float32 [B]).

    Normalisation is inside, and so is what stands in for ignored regions. What brings a photograph to the model's input
    (decoding, flat field, pose) is not: it looks for the part and may refuse the image.

    Args:
        detector: fitted; its tensors become the module's constants.
        precision: of the network; what comes after it is float32.
    """

    def __init__(self, detector: Detector, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = detector.network
        self._maps = detector.portable_maps
        self._precision = precision
        mask = detector.preprocessing.ignore_mask
        self._fill: torch.Tensor | None = None
        if mask is not None:
            self._ignored = torch.from_numpy(mask.ignored).to(detector.device)
            fill = torch.from_numpy(mask.cover(np.zeros((*mask.ignored.shape, 3), np.uint8)))
            self._fill = fill.permute(2, 0, 1).contiguous().to(detector.device)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._fill is not None:
            # As the preprocessing does it; here for those who have only the export.
            images = torch.where(self._ignored, self._fill, images)
        maps = self._maps(images, self._precision)
        return maps, maps.amax((1, 2))
