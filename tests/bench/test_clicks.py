"""Clicks go where RITM's clicker puts them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from bench.datasets import Dataset
from bench.protocols.clicks import Clicker
from tests.conftest import read_json

SHAPE = (13, 17)
a_mask = arrays(bool, SHAPE)


def depths(region, clicks):
    """Return the exact distance of every pixel from the region's edge, the image's edge being one; 0 where clicked."""
    depth = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    for click in clicks:
        depth[click.y, click.x] = 0
    return depth


@settings(max_examples=300, deadline=None)
@given(a_mask, st.lists(a_mask, max_size=4))
def test_every_click_is_at_the_deepest_error(truth, answers):
    clicker, earlier = Clicker(truth), []
    for answer in [None, *answers]:
        given_answer = np.zeros(SHAPE, bool) if answer is None else answer
        missing, superfluous = depths(truth & ~given_answer, earlier), depths(given_answer & ~truth, earlier)
        click = clicker.next(answer)
        positive = missing.max() > superfluous.max() + 1e-5
        if positive or superfluous.max() > missing.max() + 1e-5:
            assert click.label == positive
        region = missing if click.label else superfluous
        deepest = region.max()
        assert region[click.y, click.x] >= deepest - 1e-4
        before = region.ravel()[: click.y * SHAPE[1] + click.x]
        assert not (before > deepest + 1e-4).any()
        earlier.append(click)


def test_of_equals_the_first_in_row_major_order():
    truth = np.zeros((9, 20), bool)
    truth[2:7, 12:17] = truth[2:7, 2:7] = True
    assert Clicker(truth).next() == (4, 4, 1)


def test_the_images_edge_is_an_edge():
    assert Clicker(np.ones((5, 9), bool)).next() == (2, 2, 1)


def test_equal_depths_give_a_negative_click():
    truth, answer = np.zeros((5, 11), bool), np.zeros((5, 11), bool)
    truth[1:4, 1:4] = answer[1:4, 7:10] = True
    assert Clicker(truth).next(answer) == (8, 2, 0)


def test_without_an_error_left_the_first_pixel_is_clicked():
    truth = np.zeros((5, 5), bool)
    truth[1:4, 1:4] = True
    clicker = Clicker(truth)
    clicker.next()
    assert clicker.next(truth.copy()) == (0, 0, 0)


def test_a_pixel_is_not_clicked_twice():
    truth = np.zeros((7, 7), bool)
    truth[3, 2:5] = True
    clicker = Clicker(truth)
    clicks = [clicker.next() for _ in range(3)]
    assert len(set(clicks)) == 3


def test_first_clicks_are_those_of_the_peers_own_code(shared, coco: Dataset):
    """On all 1786 real instances, ties included."""
    images = {image.id: image for image in coco.images}
    lines = (shared / "golden" / "mobile_sam_coco_val2017_206.jsonl").read_text().splitlines()
    checked = 0
    for record in map(__import__("json").loads, lines):
        image = images[record["image_id"]]
        annotated = {annotation.id: annotation for annotation in image.annotations}
        for row in record["rows"]:
            click = Clicker(annotated[row["ann_id"]].mask(image.height, image.width)).next()
            assert list(click) == row["clicks"][0]
            checked += 1
    assert checked == 1786
    assert read_json(shared / "golden" / "mobile_sam_coco_val2017_206.summary.json")["n"] == checked
