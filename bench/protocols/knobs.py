"""The knobs that protocols are made of. Each is named and typed; a value that isn't listed here doesn't exist."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

DETECTIONS = "detections"
Select = Literal["score", "single", "stability", "box_iou", "oracle"]


def _once(values: tuple[int, ...]) -> tuple[int, ...]:
    """Return the values, each of which must stand there once."""
    if len(set(values)) < len(values):
        raise ValueError("each value may stand there once")
    return values


Share = Annotated[float, Field(ge=0, le=1)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], AfterValidator(_once)]


class Knobs(BaseModel):
    """Frozen, and closed: an unknown key is an error.

    Attributes:
        later: knobs that the section didn't always have. At their defaults they aren't part of a protocol's digest, so
            that it stays what it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    later: ClassVar[frozenset[str]] = frozenset()

    def hashed(self) -> dict[str, Any]:
        """Return what counts in a digest."""
        fields, content = type(self).model_fields, self.model_dump(mode="json")
        return {key: own for key, own in content.items() if key not in self.later or own != fields[key].default}


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
        way: grid: a grid of points; a model that detects gives what it finds instead. hierarchical: TinySAM's grid in
            two rounds. objects: a box for each object that a detector finds, as in MobileSAMv2. (adapters.ways)
        points_per_side, predicted_iou, stability, box_nms: of the point grid (adapters.everything).
        crop_layers, crop_overlap, crop_points_factor, crop_nms: grids over crops of the image, besides
            (adapters.ways.grid); 0 layers for none.
        min_region: grid: holes and islands of fewer pixels are filled and removed.
        high_score: hierarchical: no further point is set where a mask's logit is above this.
        boxes: objects: detections: those of the run's file. Otherwise the name of a model that detects.
        confidence, detector_nms, max_detections: of detectors; of a file of detections confidence and max_detections.
        rank: mean: by the mean of predicted IoU and stability score. predicted_iou: by that alone. Detectors, and masks
            of their boxes, rank by the detector's confidence.
        limits: so many proposals of an image are looked at, one number for each.
        federated: LVIS: leave out objects of categories that their image isn't annotated with completely.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"way", "crop_layers", "crop_overlap", "crop_points_factor", "crop_nms", "min_region", "high_score", "boxes"}
    )
    way: Literal["grid", "hierarchical", "objects"] = "grid"
    points_per_side: int = Field(ge=1, le=256)
    predicted_iou: Share
    stability: Share
    box_nms: Share
    crop_layers: int = Field(default=0, ge=0, le=4)
    crop_overlap: float = Field(default=512 / 1500, ge=0, lt=1)
    crop_points_factor: PositiveInt = 1
    crop_nms: Share = 0.7
    min_region: NonNegativeInt = 0
    high_score: float = 8.5
    boxes: str = Field(default=DETECTIONS, min_length=1)
    confidence: Share
    detector_nms: Share
    max_detections: PositiveInt
    rank: Literal["mean", "predicted_iou"]
    limits: Annotated[Counts, Field(min_length=1)] = (10, 100, 1000)
    federated: bool = False

    @model_validator(mode="after")
    def _of_its_way(self) -> Self:
        if self.way != "grid" and (self.crop_layers or self.min_region):
            raise ValueError(f"crop_layers and min_region are a grid's, and the way is {self.way}")
        if self.way == "hierarchical" and self.points_per_side < 4:
            raise ValueError("points_per_side: the hierarchical way needs 4 or more, a quarter in its first round")
        return self


class Words(Knobs):
    """The names of the data's categories as words, all of them on every image; each detection is of one category.

    Attributes:
        threshold: own: the model's. A number: detections of a higher score, in the place of its own threshold; 0 leaves
            all to the ranking, as average precision wants it.
        max_detections: so many of an image, best first.
        detection_area: as in AveragePrecision.
    """

    threshold: Literal["own"] | Share
    max_detections: PositiveInt
    detection_area: Literal["mask", "box"]
