"""The knobs that protocols are made of. Each is named and typed; a value that isn't listed here doesn't exist."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt

Select = Literal["score", "single", "stability", "box_iou", "oracle"]


def _once(values: tuple[int, ...]) -> tuple[int, ...]:
    """Return the values, each of which must stand there once."""
    if len(set(values)) < len(values):
        raise ValueError("each value may stand there once")
    return values


Share = Annotated[float, Field(ge=0, le=1)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], AfterValidator(_once)]


class Knobs(BaseModel):
    """Frozen, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Annotations(Knobs):
    """Which annotations count, and what their true mask is.

    Attributes:
        crowd: whether crowds are among them.
        min_area: the smallest area in px², by the annotation's own figure.
        truth: original: the mask as annotated. round_trip: the mask after EdgeSAM's evaluation has resized it to 1024
            (nearest) and back (bilinear, everything above 0 is object), which dilates it.
        lvis_subset: so many images of an LVIS data set, drawn by ``seed``; all, if not given.
    """

    crowd: Literal["include", "exclude"]
    min_area: float = Field(ge=0)
    truth: Literal["original", "round_trip"] = "original"
    lvis_subset: PositiveInt | None = None


class Masks(Knobs):
    """Which of a model's masks is taken.

    Attributes:
        select: score: the highest of the multimask answer's scores. single: the mask meant to stand alone. stability:
            of the multimask answer, the one that changes least between two thresholds. box_iou: the one whose own box
            is most like the prompt's. oracle: the one most like the true mask.
        multi_click: always_multi: so at every prompt. single_if_several: the single mask as soon as a prompt has more
            than one click, or a click and a box.
        feedback: none: an earlier answer isn't given back. previous: the selected mask's logits go into the next
            prompt, for models that take them.
    """

    select: Select
    multi_click: Literal["always_multi", "single_if_several"]
    feedback: Literal["none", "previous"]


class Boxes(Knobs):
    """Boxes as prompts.

    Attributes:
        source: annotation: the annotation's own box. tight: the edges of the mask's outermost pixels. tight_inclusive:
            the same, but the right and the lower edge at those pixels' index, a pixel less.
        then_clicks: after how many further clicks, besides the box, more numbers are taken.
    """

    source: Literal["annotation", "tight", "tight_inclusive"]
    then_clicks: Counts = ()


class Points(Knobs):
    """Clicks as prompts.

    Attributes:
        first: dt_center: the pixel of the mask farthest from its edge and the image's, by exact Euclidean distance.
            layer_center: the innermost pixel by layers of eight neighbours at 1024 px, as EdgeSAM's evaluation has it.
            mass_center: the centre of mass, or a deep pixel where that lies beside the mask. random: any pixel of the
            mask. box_center: the middle of the annotation's box. annotation: the annotation's own point (SA-1B).
        next: ritm: the deepest pixel of the larger error, missing or superfluous. random_error: any pixel of the
            error. random: any pixel of the mask.
        counts: after how many clicks a number is taken.
        error_grid: random_error: on the image's pixels, or on a grid of 256 along the long side.
        least_error: random_error: no click where fewer pixels of that grid are wrong.
        without_negatives: what becomes of clicks beside the object for a model that takes none. random: its next
            clicks are drawn at random from the mask, and its results say so. omit: it isn't asked.
    """

    first: Literal["dt_center", "layer_center", "mass_center", "random", "box_center", "annotation"]
    next: Literal["ritm", "random_error", "random"]
    counts: Counts = ()
    error_grid: Literal["image", 256] = "image"
    least_error: PositiveInt = 1
    without_negatives: Literal["random", "omit"] = "omit"


class Noc(Knobs):
    """Number of clicks until the answer is good.

    Attributes:
        thresholds: IoU in percent that is good.
        most: clicks after which one gives up; a failure counts as so many.
    """

    thresholds: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1), AfterValidator(_once)]
    most: int = Field(ge=1, le=1000)


class Pairs(Knobs):
    """Agreement with another model: one click on, one beside something, both models answering; no ground truth.

    Attributes:
        reference: whose masks are taken for true.
        distances: between the two clicks, in pixels.
        each: pairs drawn for each image and distance.
    """

    reference: str
    distances: Annotated[Counts, Field(min_length=1)]
    each: int = Field(ge=1, le=1000)


class AveragePrecision(Knobs):
    """Masks from a detector's boxes.

    Attributes:
        select: which mask is taken, as in Masks.
        score: by what a mask is ranked: the detector's score, the predicted IoU, or their product.
        refine: how many times the answer is given back, with the box, to refine it; the mask is selected as before.
        max_boxes: how many of an image's boxes are taken, best first; all, if not given. COCO's evaluation itself takes
            the best 100 of an image and category, LVIS's the best 300 of an image.
        detection_area: whether a detection's size class comes from its mask or from its box.
    """

    select: Select
    score: Literal["detector", "predicted_iou", "product"]
    refine: int = Field(default=0, ge=0, le=10)
    max_boxes: PositiveInt | None = None
    detection_area: Literal["mask", "box"]


class Everything(Knobs):
    """Everything mode.

    Attributes:
        points_per_side, predicted_iou, stability, box_nms: of the point grid (adapters.everything).
        confidence, detector_nms, max_detections: of detectors.
        rank: mean: by the mean of predicted IoU and stability score. predicted_iou: by that alone. Detectors rank by
            confidence.
        limits: so many proposals of an image are looked at, one number for each.
        federated: LVIS: leave out objects of categories that their image isn't annotated with completely.
    """

    points_per_side: int = Field(ge=1, le=256)
    predicted_iou: Share
    stability: Share
    box_nms: Share
    confidence: Share
    detector_nms: Share
    max_detections: PositiveInt
    rank: Literal["mean", "predicted_iou"]
    limits: Annotated[Counts, Field(min_length=1)] = (10, 100, 1000)
    federated: bool = False
