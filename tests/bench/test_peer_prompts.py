"""Prompts, boxes and true masks held to what the peers' own functions gave for the same masks, pixel for pixel.

data/peer_prompts.json has their answers, for drawn shapes and for annotations of 206 COCO images, by annotation id.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from bench.datasets import Dataset
from bench.metrics.boundary_iou import boundary_iou
from bench.protocols.boxes import tight_box
from bench.protocols.clicks import (
    NO_CLICK,
    Clicker,
    box_center,
    deepest_pixel,
    layer_center,
    mass_center,
    random_error,
    random_pixel,
)
from bench.protocols.truth import round_trip
from tests.conftest import read_json

Mask = NDArray[np.bool_]
Case = tuple[Mask, dict[str, Any]]
"""A mask, and the peers' answers."""
PEERS = read_json(Path(__file__).with_name("data") / "peer_prompts.json")
SQUARE = np.ones((3, 3), np.uint8)
REACH = 20
"""So far a pixel may see in all four directions for segment-anything-fast to look no further."""


def draw(shape: dict[str, Any]) -> Mask:
    """Return a shape of the records: rectangles (x0 y0 x1 y1, half open) and discs (x y radius), added or cut out."""
    mask = np.zeros(shape["size"], bool)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for add, *numbers in shape["draw"]:
        if len(numbers) == 4:
            x0, y0, x1, y1 = numbers
            mask[y0:y1, x0:x1] = add
        else:
            center_x, center_y, radius = numbers
            mask[(x - center_x) ** 2 + (y - center_y) ** 2 <= radius**2] = add
    return mask


def shifted(mask: Mask, right: int = 7, down: int = -5) -> Mask:
    """Return a mask moved; what leaves the image is lost."""
    height, width = mask.shape
    y, x = np.nonzero(mask)
    stays = (x + right >= 0) & (x + right < width) & (y + down >= 0) & (y + down < height)
    moved = np.zeros_like(mask)
    moved[y[stays] + down, x[stays] + right] = True
    return moved


def filled(mask: Mask) -> Mask:
    """Return a mask's filled bounding box."""
    y, x = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
    return box


def answers(mask: Mask, kind: int) -> list[Mask]:
    """Return the four answers that a clicker gets after its first four clicks: five kinds in turn, or one four times.

    Args:
        mask: the true mask.
        kind: which answer comes first; 5: it is always the moved mask.
    """
    kinds = [
        shifted(mask),
        cv2.erode(mask.astype(np.uint8), SQUARE, iterations=2) > 0,
        cv2.dilate(mask.astype(np.uint8), SQUARE, iterations=3) > 0,
        filled(mask),
        np.zeros_like(mask),
    ]
    return [kinds[0]] * 4 if kind == 5 else [kinds[(kind + turn) % 5] for turn in range(4)]


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """Return the drawn shapes and what the peers make of them."""
    return [(draw(shape), shape) for shape in PEERS["shapes"]]


@pytest.fixture(scope="module")
def real(coco: Dataset) -> list[Case]:
    """Return real masks, crowds and specks among them, and what the peers make of them."""
    places = {annotation.id: (annotation, image) for image in coco.images for annotation in image.annotations}
    cases = []
    for number, peer in PEERS["coco"].items():
        annotation, image = places[int(number)]
        cases.append((annotation.mask(image.height, image.width), peer))
    assert sum(places[int(number)][0].iscrowd for number in PEERS["coco"]) > 10
    return cases


@pytest.fixture(params=["drawn", "real"])
def cases(request: pytest.FixtureRequest) -> list[Case]:
    """Return either."""
    found: list[Case] = request.getfixturevalue(request.param)
    assert len(found) > 100
    return found


def test_five_clicks_are_ritms(cases: list[Case]):
    for mask, peer in cases:
        clicker = Clicker(mask)
        clicks = [clicker.next(), *map(clicker.next, answers(mask, peer["kind"]))]
        assert [number for click in clicks for number in click] == peer["clicks"], peer
        assert (*deepest_pixel(mask), 1) == clicks[0]


def test_the_clicks_are_of_all_sorts(drawn: list[Case]):
    """Negative ones, some where no error is left, some beside a pixel that was clicked already."""
    clicks = [np.reshape(peer["clicks"], (5, 3)).tolist() for _, peer in drawn]
    assert sum(click[2] == 0 for five in clicks for click in five) > 50
    assert sum([0, 0, 0] in five for five in clicks) > 5
    stubborn = [five for five, (_, peer) in zip(clicks, drawn, strict=True) if peer["kind"] == 5]
    assert sum(len({(x, y) for x, y, _ in five}) == 5 for five in stubborn) > 5


def test_mass_centers_are_those_of_segment_anything_fast(cases: list[Case]):
    beside = deep = 0
    for mask, peer in cases:
        center = mass_center(mask)
        assert list(center) == peer["mass"], peer
        y, x = (int(np.rint(axis.mean())) for axis in np.nonzero(mask))
        beside += not mask[y, x]
        deep += not mask[y, x] and runs(mask, *center) >= REACH
    assert beside >= 20
    assert deep >= 4


def runs(mask: Mask, x: int, y: int) -> int:
    """Return how many pixels of the mask follow a pixel without a break in the direction where that is the fewest."""
    rays = mask[y::-1, x], mask[y:, x], mask[y, x::-1], mask[y, x:]
    return min(len(ray) if ray.all() else int(np.argmin(ray)) for ray in rays) - 1


def test_tight_boxes_are_those_of_hq_sam(cases: list[Case]):
    for mask, peer in cases:
        x0, y0, x1, y1 = peer["box"]
        assert tight_box(mask, inclusive=True) == (x0, y0, x1, y1)
        assert tight_box(mask) == (x0, y0, x1 + 1, y1 + 1)


def test_round_trips_are_edgesams(cases: list[Case]):
    checked = 0
    for mask, peer in cases:
        if "round_trip" in peer:
            back = round_trip(mask)
            assert [int(back.sum()), sha256(np.packbits(back).tobytes()).hexdigest()[:12]] == peer["round_trip"], peer
            checked += 1
    assert checked >= 60


def test_boundary_ious_are_those_of_hq_sam(cases: list[Case]):
    checked = 0
    for mask, peer in cases:
        if "boundary_iou" in peer:
            assert boundary_iou(shifted(mask)[None], mask)[0] == pytest.approx(peer["boundary_iou"], abs=6e-4), peer
            checked += 1
    assert checked >= 60


def test_first_clicks_are_edgesams(coco: Dataset):
    """On real objects, at the place in the image that its click at 1024 px has."""
    found = {a.id: (a, image) for image in coco.images for a in image.annotations}
    for number, (x, y) in PEERS["layer_center"].items():
        annotation, image = found[int(number)]
        scale = 1024 / max(image.height, image.width)
        wide, high = int(image.width * scale + 0.5), int(image.height * scale + 0.5)
        clicked = layer_center(annotation.mask(image.height, image.width))
        assert clicked == pytest.approx((x * image.width / wide, y * image.height / high)), number
    assert len(PEERS["layer_center"]) >= 300


class Third:
    """In place of a generator: of n it draws number n // 3, and remembers n."""

    drawn = 0

    def integers(self, n: int) -> int:
        """Return a third of n."""
        self.drawn = n
        return n // 3


def test_error_pixels_are_edgesams(cases: list[Case]):
    """Which are wrong on its grid of 256, in which order they stand, where the click goes, and when there is none."""
    checked = none = 0
    for mask, peer in cases:
        height, width = mask.shape
        scale = 1024 / max(height, width)
        step_x, step_y = width / int(width * scale + 0.5), height / int(height * scale + 0.5)
        for answer, (count, x, y, label) in zip(
            (np.zeros_like(mask), shifted(mask)), peer.get("error", []), strict=False
        ):
            generator: Any = Third()
            click = random_error(mask, answer, generator, 256, 10)
            if label == -2:
                assert click == NO_CLICK, peer
                none += 1
            else:
                assert generator.drawn == count, peer
                assert click == pytest.approx((x * step_x, y * step_y, label)), peer
            checked += 1
    assert checked >= 120
    drawn = "size" in cases[0][1]  # among the drawn shapes none is so small at that size
    assert drawn or none >= 2


def test_random_pixels_are_equally_likely():
    mask = draw({"size": [13, 17], "draw": [[1, 0, 2, 5, 9], [1, 12, 6, 4], [0, 2, 4, 3, 6]]})
    generator = np.random.default_rng(7)
    counts = np.zeros(mask.shape, int)
    for _ in range(200 * mask.sum()):
        x, y = random_pixel(mask, generator)
        counts[y, x] += 1
    assert not counts[~mask].any()
    assert chisquare(counts[mask]).pvalue > 0.01


def test_random_errors_are_equally_likely_and_rightly_labelled():
    """Missing and superfluous pixels alike, each with its label; the image's own grid."""
    truth = draw({"size": [13, 17], "draw": [[1, 1, 2, 9, 9]]})
    answer = shifted(truth, 3, 2)
    generator = np.random.default_rng(7)
    counts = np.zeros(truth.shape, int)
    for _ in range(200 * (truth ^ answer).sum()):
        x, y, label = random_error(truth, answer, generator)
        assert label == truth[int(y), int(x)]
        counts[int(y), int(x)] += 1
    assert not counts[truth == answer].any()
    assert chisquare(counts[truth != answer]).pvalue > 0.01


def test_a_boxs_center_is_midway_on_both_axes():
    """EdgeSAM's box-center takes (x0 + y0) / 2 and (x1 + y1) / 2."""
    assert box_center((10.0, 20.0, 31.0, 24.5)) == (20.5, 22.25)
