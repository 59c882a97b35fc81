"""The fastest forward pass of a backbone: convolution, bias, shortcut and ReLU as one kernel, weights packed once; most
3x3 convolutions in float32 with fewer multiplications.

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
from modelzoo.detectors.backbones.winograd import Scratch, WinogradConvolution, pays_off

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
        scratch = Scratch()
        self.stem = _Convolution(network.conv1, dtype, scratch)
        self.layers = [
            [_Block(block, dtype, scratch) for block in layer]
            for layer in (network.layer1, network.layer2, network.layer3)
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

    def __init__(self, block: nn.Module, dtype: torch.dtype, scratch: Scratch) -> None:
        assert isinstance(block, (BasicBlock, WideBottleneck))
        names = [name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)]
        *self.first, self.last = (_Convolution(getattr(block, name), dtype, scratch) for name in names)
        shortcut = block.downsample
        self.shortcut = _Convolution(shortcut[0], dtype, scratch) if len(shortcut) else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for convolution in self.first:
            y = convolution(y, relu=True)
        return self.last.add_to(self.shortcut(x) if self.shortcut else x, y)


class _Convolution:
    """One convolution, prepared for the size of the images that come: weights packed for another size can take three
    times as long, and what is the quickest way depends on it."""

    def __init__(self, module: nn.Module, dtype: torch.dtype, scratch: Scratch) -> None:
        assert isinstance(module, nn.Conv2d)
        assert module.bias is not None, "folding a BatchNorm leaves a bias"
        self._module = module
        self._dtype = dtype
        self._scratch = scratch
        self._prepared: tuple[torch.Size, _PackedConvolution | WinogradConvolution] | None = None

    def __call__(self, x: torch.Tensor, *, relu: bool = False) -> torch.Tensor:
        """[B,K,H,W], channels last, of [B,C,H,W]."""
        return self._for(x)(x, relu=relu)

    def add_to(self, target: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """ReLU of `target` plus the convolution of x, written over `target`."""
        return self._for(x).add_to(target, x)

    def _for(self, x: torch.Tensor) -> _PackedConvolution | WinogradConvolution:
        size = x.shape[1:]
        if self._prepared is None or self._prepared[0] != size:
            if self._dtype is torch.float32 and pays_off(self._module, height=size[1], width=size[2]):
                self._prepared = size, WinogradConvolution(self._module, self._scratch)
            else:
                self._prepared = size, _PackedConvolution(self._module, self._dtype, size)
        return self._prepared[1]


class _PackedConvolution:
    """One call of oneDNN, for images of one size [C,H,W]."""

    def __init__(self, module: nn.Conv2d, dtype: torch.dtype, size: torch.Size) -> None:
        assert module.bias is not None
        stride, dilation = list(module.stride), list(module.dilation)
        padding = [int(side) for side in module.padding]
        self._geometry = (padding, stride, dilation)
        self._bias = module.bias.detach().to(dtype)
        # The stub of this function lacks its last argument.
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
            module.weight.detach().to(dtype).to_mkldnn(), *self._geometry, 1, [1, *size]
        )

    def __call__(self, x: torch.Tensor, *, relu: bool = False) -> torch.Tensor:
        """As `_Convolution`."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._geometry, 1, "relu" if relu else "none", [], ""
        )
        return result

    def add_to(self, target: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """As `_Convolution`."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            target, x, self._weight, self._bias, *self._geometry, 1, "add", 1.0, "relu", [], ""
        )
        return result
