"""The backbones compute what the published implementations compute, BatchNorm folded."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torch.nn import functional

from modelzoo.detectors.backbones.networks import LAYERS, Backbone
from modelzoo.detectors.backbones.weights import read_weights, resolve_weights
from tests.modelzoo.detectors.conftest import RESNET18, needs_resnet18

IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]


def images(height: int = 96, width: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def torchvision_features(network: torchvision.models.ResNet, pixels: torch.Tensor) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    network.eval()
    for layer in (network.layer1, network.layer2, network.layer3):
        layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    network.layer4 = network.fc = torch.nn.Identity()
    with torch.inference_mode():
        network((pixels / 255 - IMAGENET[0]) / IMAGENET[1])
    return found


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-4 * b.abs().max()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "wide_resnet50_2"])
@pytest.mark.slow
def test_resnets_are_torchvisions(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None)
    for module in network.modules():
        if (
            isinstance(module, torch.nn.BatchNorm2d)
            and module.running_mean is not None
            and module.running_var is not None
        ):
            # Untrained statistics would hide a mistake in the folding.
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    safetensors.torch.save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", str(tmp_path))
    backbone, weights = Backbone.pretrained(name, LAYERS)
    assert weights.name == name
    with torch.inference_mode():
        ours = backbone(images())
    assert_same(ours, torchvision_features(network, images()))
    assert not any("running" in key for key in backbone.state_dict())


@needs_resnet18
def test_the_development_weights_load_into_both(monkeypatch):
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", str(RESNET18.parent))
    network = torchvision.models.resnet18(weights=None)
    loaded = network.load_state_dict(safetensors.torch.load_file(RESNET18), strict=False)
    assert not loaded.unexpected_keys
    assert all(key.startswith(("layer4.", "fc.")) for key in loaded.missing_keys)
    with torch.inference_mode():
        ours = Backbone.pretrained("resnet18", LAYERS)[0](images())
    assert_same(ours, torchvision_features(network, images()))


@pytest.mark.parametrize("size", [(224, 224), (256, 256)])
def test_lite0_is_the_packages_own(size):
    """The package's network pads for 224 pixels; every halving of 256 is even too, so it pads alike."""
    weights = resolve_weights("efficientnet_lite0")
    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(read_weights(weights))
    theirs = []
    with torch.inference_mode():
        x = functional.relu6(reference._bn0(reference._conv_stem((images(*size).float() - 127) / 128)))
        for index, block in enumerate(reference._blocks[:11]):
            x = block(x)
            if index in (2, 4, 10):
                theirs.append(x)
        ours = Backbone.pretrained("efficientnet_lite0", LAYERS)[0](images(*size))
    assert [list(features.shape[1:]) for features in ours] == [
        [24, size[0] // 4, size[1] // 4],
        [40, size[0] // 8, size[1] // 8],
        [112, size[0] // 16, size[1] // 16],
    ]
    assert_same(ours, theirs)


def test_layers_come_in_the_order_asked_for_and_odd_sizes_work():
    both = Backbone.pretrained("efficientnet_lite0", ("layer3", "layer1"))[0]
    with torch.inference_mode():
        deep, shallow = both(images(50, 75))
    assert (deep.shape[1], shallow.shape[1]) == (112, 24)
    assert deep.shape[2:] == (4, 5)
    assert shallow.shape[2:] == (13, 19)


def test_state_restores_the_folded_network():
    backbone = Backbone.pretrained("efficientnet_lite0", ("layer2",))[0]
    again = Backbone.from_state("efficientnet_lite0", ("layer2",), backbone.state_dict())
    with torch.inference_mode():
        assert torch.equal(backbone(images())[0], again(images())[0])
