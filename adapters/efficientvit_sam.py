"""EfficientViT-SAM: an EfficientViT-Large image encoder on timm's blocks, with SAM's prompt encoder and mask decoder.

Source: mit-han-lab/efficientvit@de7d773, efficientvit/models/efficientvit/sam.py and backbone.py. Modules have the
names they have there. Images are scaled to 512 or 1024; prompts and masks always are in the square of 1024.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from segment_anything.modeling.common import LayerNorm2d
from timm.layers import GELUTanh
from timm.models.efficientvit_mit import ConvBlock, ConvNormAct, FusedMBConv, LiteMLA, MBConv, ResidualBlock
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.cards import ModelCard
from adapters.checkpoints import Weights
from adapters.sam import sam_around, with_sam_decoder
from adapters.sam_like.adapter import SamLike
from adapters.sam_like.decoder import Module
from adapters.sam_like.frames import LongestSide
from adapters.state_dict import fill, seeded

WIDTH, GRID, NECK_STAGES, HEAD_WIDTH = 256, 64, 3, 32
EPS = 1e-6
"""Of every BatchNorm and LayerNorm, those of SAM's mask decoder too (sam_model_zoo.py; models/nn/norm.py)."""

ATTENTION_EPS = 1e-15
"""Of the division in linear attention (models/nn/ops.py, LiteMLA)."""

Stage = tuple[str, int, int, float]


def build(card: ModelCard, weights: Weights, device: str, dtype: str) -> SamLike:
    """Build an EfficientViT-SAM with the image encoder its card describes."""
    bare = seeded(lambda: sam_around(ImageEncoder(**card.architecture)))
    for module in bare.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            module.eps = EPS
    model = fill(bare, card, weights)
    frame = LongestSide(card.architecture["side"])
    return with_sam_decoder(card, weights, device, dtype, model.to(device), frame)


class ImageEncoder(nn.Module):
    """EfficientViT-Large and a neck over its last three stages: (1, 3, S, S) -> (1, 256, 64, 64).

    Args:
        side: S.
        stages: kind (res, fmb, mb, att), width, depth, expansion of each; depth counts the blocks after the one that
            halves the resolution.
        attention_kernel: of the convolution that gives attention its second scale.
        neck_depth, neck_expansion: of the neck's blocks.
    """

    def __init__(
        self, side: int, stages: Sequence[Stage], attention_kernel: int, neck_depth: int, neck_expansion: float
    ) -> None:
        super().__init__()
        self.img_size = side  # asked for by segment_anything's Sam
        (kind, before, depth, expansion), *others = stages
        stem = ConvNormAct(3, before, stride=2, act_layer=GELUTanh)
        built = [op_list(stem, *(residual(kind, before, expansion) for _ in range(depth)))]
        for kind, width, depth, expansion in others:
            halving = ResidualBlock(local_block(kind, before, width, 4 * expansion, stride=2))
            blocks = [stage_block(kind, width, expansion, attention_kernel) for _ in range(depth)]
            built.append(op_list(halving, *blocks))
            before = width
        deepest = [width for _, width, _, _ in stages[: -NECK_STAGES - 1 : -1]]
        out = ConvNormAct(WIDTH, WIDTH, 1, bias=True, norm_layer=None, act_layer=None)
        self.backbone = nn.ModuleDict({"stages": nn.ModuleList(built)})
        self.neck = nn.ModuleDict(
            {
                "input_ops": nn.ModuleList(op_list(ConvNormAct(w, WIDTH, 1, act_layer=None)) for w in deepest),
                "middle": op_list(*(residual("fmb", WIDTH, neck_expansion) for _ in range(neck_depth))),
                "output_ops": nn.ModuleList([op_list(out)]),
            }
        )
        self.norm = LayerNorm2d(WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        stages: Module = self.backbone["stages"]
        neck: Module = self.neck
        deepest_first: list[Tensor] = [pixels]
        for stage in stages:
            deepest_first = [stage(deepest_first[0]), *deepest_first[: NECK_STAGES - 1]]
        taken = zip(neck["input_ops"], deepest_first, strict=True)
        inputs = [F.interpolate(op(own).float(), (GRID, GRID), mode="bicubic") for op, own in taken]
        encoded: Tensor = self.norm(neck["output_ops"][0](neck["middle"](sum(inputs))))
        return encoded


def stage_block(kind: str, width: int, expansion: float, attention_kernel: int) -> Module:
    """Return a block that keeps the resolution; one of kind att attends first.

    Attention is linear in the number of positions; the official code's quadratic form is for 32 positions at most, and
    the smallest map here has 256.
    """
    local = residual(kind, width, expansion)
    if kind != "att":
        return local
    norms = (None, nn.BatchNorm2d)
    attention = LiteMLA(width, width, dim=HEAD_WIDTH, norm_layer=norms, scales=(attention_kernel,), eps=ATTENTION_EPS)
    return nn.Sequential(OrderedDict(context_module=ResidualBlock(attention, nn.Identity()), local_module=local))


def residual(kind: str, width: int, expansion: float) -> Module:
    """Return a convolutional block of one width with its input added."""
    return ResidualBlock(local_block(kind, width, width, expansion), nn.Identity())


def local_block(kind: str, before: int, after: int, expansion: float, stride: int = 1) -> Module:
    """Return a block of two 3x3 convolutions (res), a 3x3 and a point-wise one (fmb), or a depth-wise between two
    point-wise ones (mb, att), which is normalised at its end alone (backbone.py, build_local_block).
    """
    if kind in ("res", "fmb"):
        block = ConvBlock if kind == "res" else FusedMBConv
        return block(before, after, stride=stride, expand_ratio=expansion, act_layer=(GELUTanh, None))
    biases, norms, activations = (True, True, False), (None, None, nn.BatchNorm2d), (GELUTanh, GELUTanh, None)
    return MBConv(before, after, 3, stride, None, expansion, biases, norms, activations)


def op_list(*modules: Module) -> nn.Sequential:
    """Return modules to be run in order, under the name they have in the checkpoint."""
    return nn.Sequential(OrderedDict(op_list=nn.Sequential(*modules)))
