"""The backbone's fastest forward pass: convolution, bias, shortcut and ReLU as one kernel, weights packed once.

oneDNN can add a shortcut and apply the activation while a convolution's result is still in a register. PyTorch offers
that through the operators its compiler emits; calling them directly needs no compiler on the machine. In float32 they
give the same numbers as the separate operations, in bfloat16 they round once instead of three times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from modelzoo.detectors.backbones.networks import Backbone, BasicBlock, ResNetFeatures, WideBottleneck

FeatureFunction = Callable[[torch.Tensor], list[torch.Tensor]]
"""uint8 [B,3,H,W] to one [B,C,h,w] per chosen layer, channels last."""


def fastest_forward(backbone: Backbone, precision: torch.dtype) -> FeatureFunction:
    """The backbone computed in `precision`, on its own device; the backbone itself does not change."""
    network = backbone.network
    on_cpu = backbone.mean.device.type == "cpu"
    if on_cpu and isinstance(network, ResNetFeatures) and torch.backends.mkldnn.is_available():
        return _ForwardPass(backbone, FusedResNet(network, precision), precision)
    if precision is torch.float32:
        return backbone
    copy = Backbone(backbone.name, backbone.layers, folded=True)
    copy.load_state_dict(backbone.state_dict())
    copy.to(backbone.mean.device)
    copy.network.to(dtype=precision).to(memory_format=torch.channels_last)
    return _ForwardPass(backbone, copy.network, precision)


class _ForwardPass:
    """Normalises images as the backbone does, and runs another implementation of its network."""

    def __init__(self, backbone: Backbone, network: Callable[..., Iterator[torch.Tensor]], dtype: torch.dtype) -> None:
        self.backbone = backbone
        self.network = network
        self.dtype = dtype

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.backbone.select_layers(self.network(self.backbone.normalise(images, self.dtype)))


class FusedResNet:
    """`ResNetFeatures` of packed convolutions, on the CPU.

    Args:
        network: with every BatchNorm folded.
        dtype: torch.float32 or torch.bfloat16.
    """

    def __init__(self, network: ResNetFeatures, dtype: torch.dtype) -> None:
        self.stem = _Convolution(network.conv1, dtype)
        self.layers = [
            [_Block(block, dtype) for block in layer] for layer in (network.layer1, network.layer2, network.layer3)
        ]

    def __call__(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """As `ResNetFeatures.forward`."""
        x = functional.max_pool2d(self.stem(x, relu=True), 3, 2, 1)
        for layer in self.layers:
            for block in layer:
                x = block(x)
            yield x


class _Block:
    """A residual block. It overwrites its input where the shortcut has no convolution: nobody reads it again,
    since the first block of every layer but the first has one, and the first reads the pooled stem."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, (BasicBlock, WideBottleneck))
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        *self.first, self.last = (_Convolution(getattr(block, name), dtype) for name in names)
        shortcut = block.downsample
        self.shortcut = _Convolution(shortcut[0], dtype) if len(shortcut) else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for convolution in self.first:
            y = convolution(y, relu=True)
        return self.last.add_to(self.shortcut(x) if self.shortcut else x, y)


class _Convolution:
    def __init__(self, convolution: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None, "folding a BatchNorm leaves a bias"
        self.stride = list(convolution.stride)
        self.padding = [int(side) for side in convolution.padding]
        self.dilation = list(convolution.dilation)
        self.bias = convolution.bias.detach().to(dtype)
        weight = convolution.weight.detach().to(dtype).to_mkldnn()
        self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
            weight, self.padding, self.stride, self.dilation, groups=1
        )

    def __call__(self, x: torch.Tensor, *, relu: bool = False) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, 1, "relu" if relu else "none", [], ""
        )
        return result

    def add_to(self, target: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """ReLU of `target` plus the convolution of x, written over `target`."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            target, x, self.weight, self.bias, self.padding, self.stride, self.dilation, 1, "add", 1.0, "relu", [], ""
        )
        return result
