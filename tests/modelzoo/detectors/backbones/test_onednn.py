"""The quickest pass through a backbone gives what the plain network gives."""

from __future__ import annotations

import pytest
import torch

from modelzoo.detectors.backbones.networks import ARCHITECTURES, LAYERS, Backbone
from modelzoo.detectors.backbones.onednn import fastest_forward


def made_up(name: str, layers: tuple[str, ...] = LAYERS) -> Backbone:
    """Random weights, small enough that activations neither vanish nor explode; biases as a folded BatchNorm leaves."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Backbone(name, layers, folded=True)
        for module in backbone.network.modules():
            if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (1.5 / fan_in) ** 0.5)
                module.bias.normal_(0, 0.1)
    return backbone


def pictures(n: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@pytest.mark.parametrize(("precision", "rtol"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)], ids=["fp32", "bf16"])
def test_it_agrees_with_the_plain_network(name, precision, rtol):
    backbone, images = made_up(name), pictures(2, 64, 96)
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    with torch.inference_mode():
        expected, found = backbone(images), fastest_forward(backbone, precision)(images)
    assert len(found) == len(LAYERS)
    for a, b in zip(expected, found, strict=True):
        assert b.dtype is precision
        assert b.shape == a.shape
        # Rounding adds up over the layers, so the whole map is compared, not each number with itself.
        assert float((a - b.float()).norm() / a.norm()) < rtol
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, before[key]), "the backbone itself stays as it is"


@pytest.mark.parametrize("layers", [("layer1",), ("layer2", "layer3"), ("layer3", "layer1")])
def test_only_the_wanted_layers_in_their_order(layers):
    backbone, images = made_up("resnet18", layers), pictures(1, 32, 32)
    with torch.inference_mode():
        for a, b in zip(backbone(images), fastest_forward(backbone, torch.float32)(images), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_results_of_one_image_are_not_overwritten_by_the_next():
    run = fastest_forward(made_up("resnet18"), torch.float32)
    with torch.inference_mode():
        first = run(pictures(1, 64, 64))
        kept = [features.clone() for features in first]
        run(pictures(3, 64, 64))
    for a, b in zip(first, kept, strict=True):
        assert torch.equal(a, b)
