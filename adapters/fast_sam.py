"""FastSAM: a YOLOv8 segmentation network finds all masks of an image, a prompt chooses among them.

This is the only file that imports ultralytics, which is AGPL-3.0 and an extra: pip install 'sambench[fastsam]'.
Source of the pipeline: CASIA-IVA-Lab/FastSAM@b4ed20c, fastsam/predict.py and utils.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters import devices
from adapters.adapter import Adapter, Candidates, Embedding
from adapters.cards import ModelCard
from adapters.checkpoints import RANDOM, Weights, cache_folder
from adapters.errors import InputError
from adapters.everything import AMG, Boxes, EverythingSettings, Proposals
from adapters.mask_selection import by_box, by_box_of_mask, by_points, paint
from adapters.prompts import Prompts
from adapters.rle import encode_masks
from adapters.stages import stage
from adapters.state_dict import fill, seeded

# Read by ultralytics when it is imported: no network, no installing, no settings outside our own cache folder.
_QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder() / "ultralytics"))
_found_as = PIL.Image.open, cv2.getNumThreads(), np.get_printoptions(), torch.get_num_threads()
try:
    from ultralytics import SETTINGS
    from ultralytics.data.augment import LetterBox
    from ultralytics.nn.tasks import SegmentationModel
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import process_mask_native, scale_boxes
except ImportError as error:
    raise InputError(f"FastSAM needs ultralytics (AGPL-3.0): pip install 'sambench[fastsam]' ({error})") from None

# ultralytics changes these for the whole process when it is imported.
PIL.Image.open = _found_as[0]
cv2.setNumThreads(_found_as[1])
np.set_printoptions(**_found_as[2])
torch.set_num_threads(_found_as[3])
if os.environ["YOLO_CONFIG_DIR"] == str(cache_folder() / "ultralytics") and SETTINGS["sync"]:
    SETTINGS.update({"sync": False})

SIDE, STRIDE = 1024, 32
BORDER, FULL = 20, 0.9
"""Boxes within 20 px of the border are moved to it; one with IoU above 0.9 with the whole input becomes the whole."""

RANDOM_DETECTIONS = 100
"""Random weights are sure of nothing: so many of their detections go on, for there to be masks to assemble and time."""

BoxMatch = Literal["mask", "box"]


def build(card: ModelCard, weights: Weights, device: str, dtype: str, box_match: BoxMatch = "mask") -> FastSam:
    """Build the network its card names.

    A box is compared with a mask's pixels, as the official code does, or with the mask's bounding box, as the paper
    says, if ``box_match`` is "box".
    """
    if box_match not in ("mask", "box"):
        raise InputError(f"{card.name}: box_match is mask or box, not {box_match!r}")
    yaml, classes = card.architecture["yaml"], card.architecture["classes"]
    network = fill(seeded(lambda: SegmentationModel(yaml, ch=3, nc=classes, verbose=False)), card, weights)
    return FastSam(card, weights, device, dtype, network.to(device), box_match)


@dataclass
class FastSamEmbedding(Embedding):
    """All that was found in an image.

    Attributes:
        predictions, prototypes: the network's raw output.
        input_size: height and width of the letterboxed input.
        found: the detections under the default settings.
    """

    predictions: Tensor
    prototypes: Tensor
    input_size: tuple[int, int]
    found: Detections


@dataclass(frozen=True)
class Detections:
    """M detections, most confident first: masks (M, H, W) uint8 0/1, boxes (M, 4) x0 y0 x1 y1, confidence (M,)."""

    masks: Tensor
    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]


class FastSam(Adapter):
    """The network, its non-maximum suppression and its masks are the encoder; choosing a mask is the decoder."""

    def __init__(
        self, card: ModelCard, weights: Weights, device: str, dtype: str, network: torch.nn.Module, box_match: BoxMatch
    ) -> None:
        self.card, self.weights, self.device, self.dtype = card, weights, device, dtype
        self._parameters = sum(parameter.numel() for parameter in network.parameters())
        self.network = network.fuse(verbose=False)  # type: ignore[operator]
        self.choose = {"mask": by_box, "box": by_box_of_mask}[box_match]

    def parameters(self) -> int:
        return self._parameters

    def wait(self) -> None:
        devices.wait(self.device)

    def _encode(self, image: NDArray[np.uint8]) -> FastSamEmbedding:
        with stage("preprocess", wait=self.wait):
            pixels = self._prepare(image)
        with stage("encode", wait=self.wait), torch.inference_mode():
            predictions, prototypes = self._run(pixels)
            height, width = image.shape[:2]
            input_size = (pixels.shape[2], pixels.shape[3])
            found = self._detect(predictions, prototypes, input_size, (height, width), AMG)
        return FastSamEmbedding((height, width), predictions, prototypes, input_size, found)

    def detect(self, image: NDArray[np.uint8], settings: EverythingSettings = AMG) -> Boxes:
        """Return boxes as MobileSAMv2's object-aware model makes its own, those near the border moved to it.

        Source: ChaoningZhang/MobileSAM@34bbbfd, MobileSAMv2/mobilesamv2/promt_mobilesamv2/predict.py.
        """
        with torch.inference_mode():
            pixels = self._prepare(image)
            kept = self._kept(self._run(pixels)[0], settings)
            input_size = (pixels.shape[2], pixels.shape[3])
            boxes = scale_boxes(input_size, _at_borders(kept[:, :4], input_size), image.shape[:2])
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)  # and not in the letterbox's margin alone
        return Boxes(boxes[inside].cpu().numpy(), kept[inside, 4].cpu().numpy())

    def _prepare(self, image: NDArray[np.uint8]) -> Tensor:
        boxed = LetterBox((SIDE, SIDE), auto=True, stride=STRIDE)(image=image)
        return torch.from_numpy(np.ascontiguousarray(boxed)).permute(2, 0, 1)[None].to(self.device).float() / 255

    def _run(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        with devices.computing(self.device, self.dtype):
            output = self.network(pixels)
        predictions, prototypes = output[0] if isinstance(output[0], tuple) else (output[0], output[1][-1])
        return predictions.float(), prototypes[0].float()

    def _detect(
        self,
        predictions: Tensor,
        prototypes: Tensor,
        input_size: tuple[int, int],
        image_size: tuple[int, int],
        settings: EverythingSettings,
    ) -> Detections:
        kept = self._kept(predictions, settings)
        boxes, confidence, coefficients = _snapped(kept[:, :4], input_size), kept[:, 4], kept[:, 6:]
        boxes = scale_boxes(input_size, boxes, image_size)
        masks = process_mask_native(prototypes, coefficients, boxes, image_size)
        return Detections(masks, boxes.cpu().numpy(), confidence.cpu().numpy())

    def _kept(self, predictions: Tensor, settings: EverythingSettings) -> Tensor:
        """Return (M, 6 + coefficients) detections that pass, the most confident first."""
        classes = self.card.architecture["classes"]
        confidence = settings.confidence
        if self.weights.identity == RANDOM:
            best = predictions[0, 4 : 4 + classes].amax(0).topk(RANDOM_DETECTIONS).indices
            predictions, confidence = predictions[..., best], 0.0
        kept: Tensor = non_max_suppression(
            predictions.clone(),
            conf_thres=confidence,
            iou_thres=settings.detector_nms,
            max_det=settings.max_detections,
            nc=classes,
        )[0]
        return kept

    def _decode(self, embedding: Embedding, prompts: Prompts) -> FastSamCandidates:
        assert isinstance(embedding, FastSamEmbedding)
        found = embedding.found
        scores = np.full((len(prompts), 1), np.nan, dtype=np.float32)
        if prompts.points is not None:
            assert prompts.labels is not None
            strokes = by_points(found.masks, prompts.points, prompts.labels)
        elif len(found.masks) and len(prompts):
            assert prompts.boxes is not None
            chosen = self.choose(found.masks, prompts.boxes)
            scores[:, 0] = found.confidence[chosen]
            strokes = [[(int(mask), 1)] for mask in chosen]
        else:
            strokes = [[] for _ in range(len(prompts))]
        return FastSamCandidates(scores, found.masks, strokes)

    def _everything(self, embedding: Embedding, settings: EverythingSettings) -> Proposals:
        assert isinstance(embedding, FastSamEmbedding)
        found = embedding.found
        if settings != AMG:
            raw = (embedding.predictions, embedding.prototypes, embedding.input_size, embedding.image_size)
            with torch.inference_mode():
                found = self._detect(*raw, settings)
        nothing = np.full(len(found.confidence), np.nan, dtype=np.float32)
        return Proposals(
            rles=encode_masks(found.masks),
            boxes=found.boxes,
            scores=found.confidence,
            predicted_iou=nothing,
            stability=nothing,
            points=np.full((len(nothing), 2), np.nan),
        )


class FastSamCandidates(Candidates):
    """One mask for each prompt, put together from the found ones when it is asked for.

    The score is the detection's confidence for a box, and NaN for points, whose mask can join several detections.
    """

    def __init__(self, scores: NDArray[np.float32], found: Tensor, strokes: list[list[tuple[int, int]]]) -> None:
        self.scores, self._found, self.strokes = scores, found, strokes

    def _masks(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        masks = [paint(self._found, self.strokes[row]) for row in rows]
        return np.stack(masks) if masks else np.zeros((0, *self._found.shape[1:]), dtype=bool)


def _snapped(boxes: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Move boxes near the border to it, and take one that is nearly the whole input as the whole."""
    height, width = input_size
    boxes = _at_borders(boxes, input_size)
    x0, y0, x1, y1 = boxes.unbind(1)
    whole = (x1 - x0) * (y1 - y0) > FULL * width * height
    edges = torch.tensor([0.0, 0.0, width, height], device=boxes.device)
    return torch.where(whole[:, None], edges, boxes)


def _at_borders(boxes: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Move boxes near the border to it."""
    height, width = input_size
    x0, y0, x1, y1 = boxes.clone().unbind(1)
    x0, y0 = (torch.where(low < BORDER, 0.0, low) for low in (x0, y0))
    x1 = torch.where(x1 > width - BORDER, float(width), x1)
    y1 = torch.where(y1 > height - BORDER, float(height), y1)
    return torch.stack([x0, y0, x1, y1], dim=1)
