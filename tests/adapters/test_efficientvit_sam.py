"""EfficientViT-SAM: official names and shapes, official outputs on deterministic weights, published sizes, frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.utils.transforms import ResizeLongestSide
from timm.models.efficientvit_mit import LiteMLA
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import functional as transforms

import adapters
from adapters.checkpoints import RANDOM, Weights
from adapters.complexity import complexity
from adapters.sam_like.frames import LongestSide
from tests.conftest import check_recorded, load_filled, read_json

RECORDED = ("efficientvit_sam_l0", "efficientvit_sam_xl0")
STAGES, NECK = "image_encoder.backbone.stages.", "image_encoder.neck.middle.op_list."
PUBLISHED = {  # the README's table: millions of parameters, MACs in units of 10^9
    "efficientvit_sam_l0": (34.8, 35),
    "efficientvit_sam_l1": (47.7, 49),
    "efficientvit_sam_l2": (61.3, 69),
    "efficientvit_sam_xl0": (117.0, 185),
    "efficientvit_sam_xl1": (203.3, 322),
}


def bare(name: str) -> nn.Module:
    """Return a model that takes no memory."""
    with torch.device("meta"):
        return adapters.family(name).build(adapters.card(name), Weights(RANDOM), "meta", "fp32").module


def shapes(name: str) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in bare(name).state_dict().items()}


def official(shared, name: str) -> dict[str, list[int]]:
    return {key: shape for key, (shape, _) in read_json(shared / "parity" / f"{name}.keys.json").items()}


@pytest.mark.parametrize("name", RECORDED)
def test_every_tensor_has_its_official_name(name, shared):
    assert shapes(name) == official(shared, name)


@pytest.mark.parametrize(
    ("name", "smaller", "blocks", "neck"),
    [
        ("efficientvit_sam_l1", "efficientvit_sam_l0", (2, 2, 2, 7, 7), 8),
        ("efficientvit_sam_l2", "efficientvit_sam_l0", (2, 3, 3, 9, 9), 12),
        ("efficientvit_sam_xl1", "efficientvit_sam_xl0", (2, 3, 3, 5, 7, 7), 12),
    ],
)
def test_the_larger_ones_repeat_the_last_blocks_of_the_smaller(name, smaller, blocks, neck, shared):
    """The numbers of blocks are those of backbone.py and sam.py. Only L0 has a second block in stage 0 to repeat."""
    known = official(shared, smaller)
    known |= {key: shape for key, shape in official(shared, RECORDED[0]).items() if key.startswith(f"{STAGES}0.")}
    counts = {f"{STAGES}{stage}.op_list.": count for stage, count in enumerate(blocks)}
    assert shapes(name) == grown(known, {**counts, NECK: neck})


def grown(known: dict[str, list[int]], counts: dict[str, int]) -> dict[str, list[int]]:
    """Return names and shapes with the last block of each list repeated until there are so many."""
    found = dict(known)
    for prefix, count in counts.items():
        own = {key.removeprefix(prefix): shape for key, shape in known.items() if key.startswith(prefix)}
        last = max(int(key.partition(".")[0]) for key in own)
        for key, shape in own.items():
            number, _, rest = key.partition(".")
            if int(number) == last:
                found |= {f"{prefix}{further}.{rest}": shape for further in range(last, count)}
    return found


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters_and_operations(name):
    found = complexity(name)
    millions, macs = PUBLISHED[name]
    assert found.parameters == adapters.card(name).parameters
    assert found.parameters / 1e6 == pytest.approx(millions, abs=0.051)
    assert found.encoder_macs / 1e9 == pytest.approx(macs, abs=0.5)


@pytest.mark.parametrize("name", RECORDED)
def test_equals_official_outputs(name, shared, photo, tmp_path):
    adapter = load_filled(name, name, shared, tmp_path)
    (tmp_path / "filled.pt").unlink()
    check_recorded(adapter, np.load(shared / "parity" / f"{name}_20992.npz"), photo, tolerance=2e-5)


@pytest.mark.parametrize("name", RECORDED)
def test_norms_and_attention_have_the_official_epsilon(name):
    """Recorded outputs hardly show it: 1e-5 in the norms would change them by less than 1e-4."""
    model = bare(name)
    assert epsilons(model, nn.BatchNorm2d, LayerNorm2d, nn.LayerNorm) == {1e-6}
    assert epsilons(model.mask_decoder, nn.LayerNorm) == {1e-6}
    assert epsilons(model, LiteMLA) == {1e-15}


def epsilons(model: nn.Module, *kinds: type[nn.Module]) -> set[float]:
    return {module.eps for module in model.modules() if isinstance(module, kinds)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_attention_is_never_over_so_few_positions_that_the_official_code_turns_quadratic(name):
    architecture = adapters.card(name).architecture
    assert (architecture["side"] // 2 ** len(architecture["stages"])) ** 2 > 32


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (512, 300), (60, 100)])
def test_images_are_prepared_as_the_official_code_does(size):
    """Its transforms are torchvision's: bytes to 0..1, mean and deviation over 255; what fits isn't resized."""
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    height, width = ResizeLongestSide.get_preprocess_shape(*size, 512)
    resized = (
        image if max(size) == 512 else np.array(transforms.resize(transforms.to_pil_image(image), (height, width)))
    )
    mean, deviation = ([part / 255 for part in parts] for parts in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    expected = F.pad(
        transforms.normalize(transforms.to_tensor(resized), mean, deviation), (0, 512 - width, 0, 512 - height)
    )
    torch.testing.assert_close(LongestSide(512).prepare(image)[0], expected, rtol=0, atol=2e-6)


def test_prompts_and_masks_stay_in_the_frame_of_1024():
    """640 x 427 becomes 512 x 342 for the encoder, which is half of 683 only when rounded."""
    frame, size = LongestSide(512), (640, 427)
    points = np.array([[0.0, 0.0], [427.0, 640.0], [100.5, 33.25]])
    np.testing.assert_allclose(points * frame.scale(size), ResizeLongestSide(1024).apply_coords(points, size))
    logits = torch.randn(2, 256, 256)
    square = F.interpolate(logits[None], (1024, 1024), mode="bilinear", align_corners=False)[..., :1024, :683]
    expected = F.interpolate(square, size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(frame.restore(logits, size), expected, rtol=0, atol=0)
