"""The options of every detector, and the words that they may be: what a web process checks without loading torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelzoo.detectors.config import DetectorConfig, InputConfig, option
from modelzoo.detectors.errors import DetectorError

AUTO = "auto"
BACKBONE_NAMES = (AUTO, "resnet18", "resnet34", "wide_resnet50_2", "efficientnet_lite0")
LAYERS = ("layer1", "layer2", "layer3")
RANDOM, ORTHOGONAL, PCA = "random", "orthogonal", "pca"
REDUCTIONS = (RANDOM, ORTHOGONAL, PCA)
GREEDY = "greedy"
SAMPLINGS = (GREEDY, RANDOM)
CORRUPTIONS = (AUTO, "none", "stain", "mask")
LOSSES = ("mse", "ssim+mse")
TRAINING_PRECISIONS = (AUTO, "fp32", "bf16", "fp16")
DEVICES = (AUTO, "cpu", "cuda")
# Pixels per position of the coarsest layer: tiles begin and are cut at multiples of it.
TILE_STEP = 16
# PaDiM's own choice of patch_size keeps within so many positions: a gigabyte while 100 features are fitted.
MAX_AUTO_POSITIONS = 20_000
MAX_MATRIX_BYTES = 8e9


@dataclass(frozen=True)
class PatchConfig(DetectorConfig):
    """Options of every detector that compares patches of pretrained features."""

    backbone: str = option("resnet18", "pretrained network that describes the patches", choices=BACKBONE_NAMES)
    layers: tuple[str, ...] = option(LAYERS, "layers whose features are joined", choices=LAYERS)
    # As wide as a position of the second layer: one patch alone is noise. On the mean of all development sets better
    # than 2 and 4, and where another is the best, it is by less than 0.015 of AUROC once distances have one scale.
    sigma: float = option(8.0, "standard deviation of the blur of the anomaly map, in model pixels", low=0, high=64)
    position_scale: bool = option(
        True, "divide each distance by what held-out good images usually reach at its position"
    )
    usual_spreads: float = option(
        3.0, "standard deviations above their mean that distances usually reach", low=0, high=1000
    )
    tile: int = option(
        0,
        "side in pixels of overlapping tiles that the network looks at one after the other: less memory for large "
        "inputs; 0: the whole input at once",
        low=0,
        high=4096,
    )
    # Half of it is cut from each tile: what the padding beyond its border has changed by more than 2 % of a feature's
    # standard deviation (resnet18; from 224 on nothing at all).
    tile_overlap: int = option(160, "pixels that neighbouring tiles share", low=0, high=1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile % TILE_STEP or (self.tile and self.tile < 64):
            raise DetectorError(
                f"tile={self.tile} is not valid: a multiple of {TILE_STEP} from 64 on, or 0 for no tiles."
            )
        if self.tile_overlap % (2 * TILE_STEP):
            raise DetectorError(
                f"tile_overlap={self.tile_overlap} is not valid: it must be a multiple of {2 * TILE_STEP}."
            )
        if self.tile and self.tile_overlap >= self.tile:
            raise DetectorError(
                f"tile_overlap={self.tile_overlap} is not valid: it must be less than the tiles' {self.tile} pixels."
            )


@dataclass(frozen=True)
class PadimConfig(PatchConfig):
    """Options of PaDiM."""

    n_features: int = option(100, "features per position, fewer than the layers' channels", low=1, high=1792)
    reduction: str = option(
        ORTHOGONAL,
        "how they come about: a random orthogonal projection, channels drawn at random, or principal components",
        choices=REDUCTIONS,
    )
    patch_size: int = option(
        0,
        "side in pixels of one position of the grid (8 gives the 8x8 patches); 0: 4, and 8, 16 ... where the input is "
        "so large that the matrices of its positions would be, too",
        low=0,
        high=64,
    )
    # Distances in a hundred dimensions hardly spread about their mean: ten deviations are about as much as the mean.
    usual_spreads: float = option(
        10.0, "standard deviations above their mean that distances usually reach", low=0, high=1000
    )
    floor: float = option(0.1, "added to every variance, as a fraction of the mean variance", low=1e-4, high=100)
    # On the development sets copies change AUROC by +0.016 with 5 images, +0.019 with 10, +0.009 with 20, at worst by
    # -0.004, -0.009, -0.007. With 50 they help four sets of five and cost the fifth 0.010.
    copies_below: int = option(
        30,
        "with fewer good images than this each is learned from with slightly altered copies of it; 0: never",
        low=0,
        high=1000,
    )
    held_out_block: int = option(16, "neighbouring images that are left out together for the held-out scores", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.patch_size < 4:
            raise DetectorError(
                f"patch_size={self.patch_size} is not valid: the least is 4, or 0 to let it be decided."
            )

    def grid(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """Positions per column and row of an input.

        Raises:
            DetectorError: when the matrices of so many positions would need too much memory.
        """
        if self.patch_size:
            height, width = _positions(input_size, self.patch_size)
        else:
            height, width = next(
                grid
                for size in (4, 8, 16, 32, 64)
                if math.prod(grid := _positions(input_size, size)) <= MAX_AUTO_POSITIONS
            )
        # While they are fitted: moments and whitening, float32, five eighths of each matrix.
        needed = 5 * height * width * self.n_features**2
        if needed > MAX_MATRIX_BYTES:
            raise DetectorError(
                f"{height * width} positions with {self.n_features} features each would take {needed / 1e9:.0f} GB "
                f"while they are fitted, more than the {MAX_MATRIX_BYTES / 1e9:.0f} GB that are allowed. Use a larger "
                "patch_size (0 lets it be decided), fewer n_features or a smaller image_size."
            )
        return height, width


def _positions(input_size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    height, width = input_size
    return -(-height // patch_size), -(-width // patch_size)


@dataclass(frozen=True)
class PatchCoreConfig(PatchConfig):
    """Options of PatchCore."""

    layers: tuple[str, ...] = option(("layer2", "layer3"), "layers whose features are joined", choices=LAYERS)
    neighbourhood: int = option(3, "side of the square of positions that a patch averages over, odd", low=1, high=15)
    coreset: float = option(0.05, "share of the candidate patches that the memory bank keeps", low=1e-4, high=1)
    memory_limit: int = option(131072, "candidate patches at most, drawn evenly from all images", low=64, high=2**22)
    sampling: str = option(
        GREEDY, "how they are chosen: the farthest next, or at random (quick, worse)", choices=SAMPLINGS
    )
    projection: int = option(64, "dimensions of the random projection in which they are chosen", low=1, high=4096)
    probes: int = option(
        8, "cells of the memory that are searched for each patch; 0 searches all of it, which is exact", low=0
    )
    # The paper's is 9. Beside distances on one scale it changed AUROC by -0.0075 to +0.001 on the development sets.
    neighbours: int = option(1, "rows that the re-weighting of the score looks at; 1 turns it off", low=1, high=1000)
    folds: int = option(5, "parts of the good images, each scored without itself for the held-out scores", low=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbourhood % 2 == 0:
            raise DetectorError(f"neighbourhood={self.neighbourhood} is not valid: it must be odd.")


@dataclass(frozen=True)
class AutoencoderConfig(DetectorConfig):
    """Options of the autoencoder."""

    latent_dim: int = option(512, "numbers that the bottleneck keeps of an image", low=1, high=8192)
    epochs: int = option(50, "passes over the training images, at most", low=1, high=10_000)
    patience: int = option(
        10, "epochs without a better held-out loss after which the training ends", low=1, high=10_000
    )
    learning_rate: float = option(
        1e-4, "step size of Adam at the start; it rises tenfold, then falls to 0", low=1e-7, high=0.1
    )
    skip_connections: bool = option(False, "hand the encoder's features to the decoder past the bottleneck")
    corruption: str = option(
        "auto", "what keeps skip connections from copying defects; auto: mask where there are any", choices=CORRUPTIONS
    )
    loss: str = option("mse", "what the training lowers", choices=LOSSES)
    resolution: float = option(0.5, "share of the input's height and width that the network redraws", low=0.1, high=1.0)
    held_out_fraction: float = option(0.2, "share of the good images kept out of the training", low=0.01, high=0.5)
    precision: str = option(
        "auto", "of the training; auto: bf16 on a GPU that has it, else fp32", choices=TRAINING_PRECISIONS
    )
    gradient_checkpointing: bool = option(False, "compute features twice rather than keep them: less memory, slower")

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(side % 16 for side in self.image_size):
            raise DetectorError(
                f"image_size={self.image_size} is not valid: four halvings need multiples of 16 pixels."
            )
        if self.corruption == "mask" and not self.skip_connections:
            raise DetectorError("corruption=mask hides squares from the skip connections; add skip_connections.")

    @property
    def training_corruption(self) -> str:
        """The corruption; `auto` resolved.

        On screws, skip connections with masks stayed at AUROC 0.982 to 0.984 over their last ten epochs; with stains,
        and a learning rate that did not cycle yet, they went up and down between 0.70 and 0.88.
        """
        if self.corruption == "auto":
            return "mask" if self.skip_connections else "none"
        return self.corruption

    def network_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that the network redraws: `resolution` times the input's, multiples of 16, at least 32."""
        height, width = (max(32, 16 * round(self.resolution * side / 16)) for side in input_size)
        return height, width


@dataclass(frozen=True)
class SelectionConfig(InputConfig):
    """Options of a run that chooses detector and options by itself; what is given here holds for whatever it tries."""

    budget: float = option(
        8.0, "minutes that the comparison and the training of the winner may take", low=0.1, high=10_000
    )
    backbone: str = option(
        AUTO,
        "pretrained network; auto: the default one, and every other whose weights are here",
        choices=BACKBONE_NAMES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_native:
            raise DetectorError(
                "image_size=native is not valid: a choice begins with a size in pixels and tries larger ones by itself."
            )
