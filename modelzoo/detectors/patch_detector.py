"""What PaDiM and PatchCore share: a pretrained network describes patches on a grid, and each patch has a distance."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch import nn

from modelzoo.detectors.backbones.networks import STRIDES, Backbone
from modelzoo.detectors.backbones.onednn import FeatureFunction, fastest_forward
from modelzoo.detectors.backbones.tiling import TiledForward
from modelzoo.detectors.base import FP32, Detector, ImageSource, MapFunction, Progress, autocast_context, resolve_device
from modelzoo.detectors.engines.threads import ThreadChooser
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import PatchConfig
from modelzoo.detectors.smoothing import Size, Smoothing
from modelzoo.detectors.usual_distances import UsualDistances

# On a CPU larger batches make the backbone no faster, and their activations leave the cache: 4 images of 512 pixels.
CPU_BATCH, CPU_BATCH_PIXELS = 4, 2**20
# Images of more pixels together are described and compared one part after the other: what is remembered between the
# steps stays within some hundred megabytes however large the input is.
MAX_BATCH_PIXELS = 2**22
BACKBONE_PREFIX = "backbone."
USUAL_DISTANCES = "usual_distances"
# Standard deviation, in model pixels, of the neighbourhood from which a position's usual distance is known, too.
NEIGHBOURHOOD_SIGMA = 8.0


class PatchDetector(Detector):
    """A detector on the features of a frozen network. A subclass says how the layers become one description per patch.

    Shapes: B images, P patches that are judged: all h w of the grid, but for those of which every pixel is ignored; C
    features.
    """

    config: PatchConfig

    def __init__(self, config: PatchConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._backbone: Backbone
        self._network: FeatureFunction  # the backbone's fastest forward pass in float32
        self._smoothing: Smoothing
        self._usual: torch.Tensor | None = None  # float32 [P], what distances are divided by; None: nothing
        self._judged: torch.Tensor | None = None  # int64 [P], where on the grid the judged patches lie; None: all are
        self._places: torch.Tensor | None = None  # int64 [h w], which of them lies there; P where none does

    @property
    @abstractmethod
    def grid(self) -> Size:
        """Patches per column and row; known once `input_size` is."""

    @abstractmethod
    def _describe_patches(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """float32 [B,C,h,w] on the grid, of the chosen layers' feature maps in any precision."""

    def _load_backbone(self, progress: Progress) -> None:
        """The published network and the smoothing for the input size that the preprocessing has decided on."""
        progress(0.0, "loading the backbone")
        self._backbone, weights = Backbone.pretrained(self.config.backbone, self.config.layers)
        self.backbone_info = weights.info()
        self._lay_out_grid()
        self._move_backbone()

    def _lay_out_grid(self) -> None:
        """Smoothing and judged patches of the grid, once the preprocessing has decided on the input."""
        self._smoothing = Smoothing(self.grid, self.input_size, self.config.sigma, self.ignored)
        if self._smoothing.weights is not None:
            is_judged = self._smoothing.weights.flatten() > 0
            self._judged = is_judged.nonzero()[:, 0]
            self._places = torch.where(is_judged, is_judged.cumsum(0) - 1, len(self._judged))

    @property
    def n_patches(self) -> int:
        """Patches that are judged."""
        return self.grid[0] * self.grid[1] if self._judged is None else len(self._judged)

    def _move_backbone(self) -> None:
        """Bring network and smoothing to `self.device`."""
        self._backbone.to(self.device)
        self._network = self._in_tiles(fastest_forward(self._backbone, torch.float32))
        self._smoothing.to(self.device)
        if self._judged is not None and self._places is not None:
            self._judged, self._places = self._judged.to(self.device), self._places.to(self.device)

    def _in_tiles(self, network: FeatureFunction) -> FeatureFunction:
        """The network on tiles, where the options ask for them."""
        config = self.config
        if not config.tile:
            return network
        return TiledForward(network, [STRIDES[layer] for layer in config.layers], config.tile, config.tile_overlap)

    def _channels(self) -> int:
        """Number of channels of the chosen layers together."""
        blank = torch.zeros(1, 3, 32, 32, dtype=torch.uint8, device=self._backbone.mean.device)
        return sum(features.shape[1] for features in self._backbone(blank))

    def map_function(self, precision: str) -> MapFunction:
        if precision == FP32:
            return self._maps
        network = self._in_tiles(fastest_forward(self._backbone, torch.bfloat16))
        return lambda images: self._maps_by(images, network)

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        return self._maps_by(images, self._network)

    def _maps_by(self, images: torch.Tensor, network: FeatureFunction) -> torch.Tensor:
        parts = [self._maps_from_features(self._features(part, network)) for part in images.split(self._max_batch())]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _max_batch(self) -> int:
        height, width = self.input_size
        return max(1, MAX_BATCH_PIXELS // (height * width))

    @property
    def batch_size(self) -> int:
        """Images that are described together: the option, or fewer where they are large."""
        return min(self.config.batch_size, self._max_batch())

    @property
    def network(self) -> nn.Module:
        return self._backbone

    def portable_maps(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        return self._maps_from_features(self._describe_patches(self._portable_layers(images, precision)))

    def _portable_layers(self, images: torch.Tensor, precision: torch.dtype) -> list[torch.Tensor]:
        """Feature maps of uint8 [B,3,H,W], float32, all images at once."""
        with autocast_context(self.device, precision):
            layers = self._in_tiles(self._backbone)(images)
        return [features.float() for features in layers]

    @abstractmethod
    def _maps_from_features(self, features: torch.Tensor) -> torch.Tensor:
        """Smoothed maps, float32 [B,H,W], of what `_describe_patches` gave."""

    def _layers(self, images: torch.Tensor, network: FeatureFunction) -> Iterator[list[torch.Tensor]]:
        """Feature maps of uint8 [B,3,H,W], a few images at a time."""
        size = self._max_batch()
        if self.device == "cpu":
            size = max(1, min(CPU_BATCH, CPU_BATCH_PIXELS // (images.shape[2] * images.shape[3])))
        for part in images.split(size):
            yield network(part)

    def _features(self, images: torch.Tensor, network: FeatureFunction | None = None) -> torch.Tensor:
        """float32 [B,C,h,w] of uint8 [B,3,H,W], by the float32 network unless another is given."""
        parts = [self._describe_patches(layers) for layers in self._layers(images, network or self._network)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _stream(
        self, source: ImageSource, size: int, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Of each batch: how many images there have been with it, and its features, float32 [B,C,h,w]."""
        n_images, threads = 0, ThreadChooser.for_device(self.device)
        for batch in source.batches(size, indices):
            n_images += len(batch)
            with threads.chosen(len(batch)):
                features = self._features(batch.to(self.device))
            yield n_images, features

    def _patches(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B,C,h,w] as one description per judged patch, [B,P,C]."""
        patches = features.flatten(2)
        return (patches if self._judged is None else patches[:, :, self._judged]).transpose(1, 2)

    def _smooth(self, distances: torch.Tensor, usual: torch.Tensor | None = None) -> torch.Tensor:
        """float32 [B,P] to smoothed maps [B,H,W] on the one scale.

        Args:
            usual: [B,P], what these distances are divided by instead of the model's own.
        """
        usual = self._usual if usual is None else usual
        maps = self._on_grid(distances)
        # Divided on the grid: OpenVINO's float32 goes wrong where a norm is divided by a constant at once.
        return self._smoothing(maps if usual is None else maps / self._on_grid(torch.atleast_2d(usual), outside=1.0))

    def _relative(self, distances: torch.Tensor, usual: torch.Tensor | None = None) -> torch.Tensor:
        """float32 [B,P] divided by what is usual."""
        usual = self._usual if usual is None else usual
        return distances if usual is None else distances / usual

    def _on_grid(self, values: torch.Tensor, outside: float = 0.0) -> torch.Tensor:
        """float32 [B,P] as [B,h,w]; `outside` where nothing is judged."""
        if self._places is not None:
            values = torch.cat((values, torch.full_like(values[:, :1], outside)), dim=1)[:, self._places]
        return values.reshape(-1, *self.grid)

    def _new_usual_distances(self) -> UsualDistances | None:
        """To be learnt from held-out distances; None where the option is off."""
        if not self.config.position_scale:
            return None
        sigma = NEIGHBOURHOOD_SIGMA * self.grid[0] / self.input_size[0]
        weights = self._smoothing.weights
        is_ignored = None if weights is None else (weights == 0).cpu()
        smoothing = Smoothing(self.grid, self.grid, sigma, is_ignored)
        smoothing.to(self.device)

        def neighbours(values: torch.Tensor) -> torch.Tensor:
            return self._patches(smoothing(self._on_grid(values))[:, None])[:, :, 0]

        return UsualDistances(self.n_patches, self.config.usual_spreads, neighbours, self.device)

    def to(self, device: str) -> Self:
        self.device = resolve_device(device)
        self._move_backbone()
        if self._usual is not None:
            self._usual = self._usual.to(self.device)
        self._move_model()
        return self

    @abstractmethod
    def _move_model(self) -> None:
        """Move what was learned to `self.device`."""

    def _shared_tensors(self) -> dict[str, torch.Tensor]:
        """Of the backbone, and what distances are divided by."""
        tensors = {BACKBONE_PREFIX + name: tensor for name, tensor in self._backbone.state_dict().items()}
        return tensors if self._usual is None else tensors | {USUAL_DISTANCES: self._usual}

    def _restore_shared(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes what `_shared_tensors` gave out of `tensors`."""
        if self.backbone_info is None:
            raise DetectorError(f"A {self.algorithm} model must name its backbone.")
        names = [name for name in tensors if name.startswith(BACKBONE_PREFIX)]
        weights = {name.removeprefix(BACKBONE_PREFIX): tensors.pop(name) for name in names}
        self._backbone = Backbone.from_state(self.backbone_info["name"], self.config.layers, weights)
        self._lay_out_grid()
        self._usual = tensors.pop(USUAL_DISTANCES, None)
        if self._usual is None:
            # A model that was trained before distances had one scale goes on without.
            self.config = dataclasses.replace(self.config, position_scale=False)
        elif tuple(self._usual.shape) != (self.n_patches,):
            raise DetectorError("The tensors do not have the shapes that the options ask for.")
