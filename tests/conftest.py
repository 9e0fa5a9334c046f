"""What tests share: where reference data lies, small drawn scenes, models with real weights where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import adapters
from adapters.adapter import Adapter
from adapters.checkpoints import cached_path
from adapters.prompts import Prompts
from bench.datasets import Dataset, open_dataset
from bench.datasets.sample import write_sample


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data that SAMBENCH_SHARED names."""
    named = os.environ.get("SAMBENCH_SHARED")
    if not named or not Path(named).is_dir():
        pytest.skip("SAMBENCH_SHARED names no folder of reference data")
    return Path(named)


@pytest.fixture(scope="session")
def coco_folder(shared: Path) -> Path:
    """Return 206 real COCO images with their annotations."""
    return shared / "data" / "coco_val2017_206"


@pytest.fixture(scope="session")
def coco(coco_folder: Path) -> Dataset:
    """Return the same, read."""
    return open_dataset(coco_folder)


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four drawn scenes."""
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    write_sample(folder, count=4)
    return folder


@pytest.fixture(scope="session")
def sample(sample_folder: Path) -> Dataset:
    """Return the same, read."""
    return open_dataset(sample_folder)


def with_real_weights(name: str) -> Adapter:
    """Return a model with its official checkpoint, or skip the test."""
    path = cached_path(adapters.card(name))
    if path is None or not path.exists():
        pytest.skip(f"{name}'s checkpoint isn't in the cache: sambench weights fetch {name}")
    return adapters.load(name)


@pytest.fixture(scope="session")
def mobile_sam() -> Adapter:
    """Return MobileSAM with its official weights."""
    return with_real_weights("mobile_sam")


@pytest.fixture(scope="session")
def random_mobile_sam() -> Adapter:
    """Return MobileSAM with random weights."""
    return adapters.load("mobile_sam", "random")


@pytest.fixture(scope="session")
def photo(coco_folder: Path) -> NDArray[np.uint8]:
    """Return the real image that parity fixtures were made on, 333 x 500."""
    return read_image(coco_folder / "images" / "000000020992.jpg")


@pytest.fixture(scope="session")
def busy_photo(coco_folder: Path) -> NDArray[np.uint8]:
    """Return a real image of many objects, 426 x 640."""
    return read_image(coco_folder / "images" / "000000000139.jpg")


@pytest.fixture(scope="session")
def scene(sample: Dataset) -> NDArray[np.uint8]:
    """Return a drawn scene, 480 x 640."""
    return sample.images[0].pixels()


def filled_state(fixture: str, shared: Path) -> dict[str, torch.Tensor]:
    """Return a fixture's weights under their official names."""
    scope: dict[str, Any] = {}
    exec((shared / "parity" / "fill.py").read_text(), scope)
    state: dict[str, torch.Tensor] = scope["fill_state_dict"](read_json(shared / "parity" / f"{fixture}.keys.json"))
    return state


def load_filled(name: str, fixture: str, shared: Path, folder: Path) -> Adapter:
    """Return a model that has loaded, from a checkpoint file in the official format, the fixtures' weights.

    Args:
        name: the model.
        fixture: whose names and shapes to fill, a *.keys.json of the parity folder.
        shared: the folder of reference data.
        folder: where the checkpoint file goes.
    """
    state = filled_state(fixture, shared)
    checkpoint = adapters.card(name).checkpoint
    assert checkpoint is not None
    path = folder / "filled.pt"
    torch.save({checkpoint.key: state} if checkpoint.key else state, path)
    return adapters.load(name, path, allow_unknown_hash=True)


def check_recorded(
    adapter: Adapter, recorded: Mapping[str, Any], image: NDArray[np.uint8], first: int = 1, tolerance: float = 1e-4
) -> None:
    """Hold a model's answers to one box, one point and three points against what official code gave.

    Args:
        adapter: the model, with the fixture's weights.
        recorded: the fixture.
        image: what it was made on.
        first: the column of the fixture's first mask.
        tolerance: of embedding, logits and predicted IoU, absolute.
    """
    embedding = adapter.encode(image)
    np.testing.assert_allclose(embedding.features[0, :8, :8, :8], recorded["embedding_corner"], atol=tolerance)
    if "embedding_corner_end" in recorded:
        np.testing.assert_allclose(
            embedding.features[0, -4:, -8:, -8:], recorded["embedding_corner_end"], atol=tolerance
        )
    for kind in ("box", "point1", "point3"):
        candidates = adapter.decode(embedding, recorded_prompts(recorded, kind))
        columns = np.arange(first, candidates.scores.shape[1])
        np.testing.assert_allclose(candidates.scores[0, columns], recorded[f"{kind}_iou_predictions"], atol=tolerance)
        logits = candidates.logits[0, columns, ::4, ::4].numpy()
        np.testing.assert_allclose(logits, recorded[f"{kind}_low_res_logits"], atol=tolerance)
        shape = tuple(recorded[f"{kind}_masks_shape"])
        masks = np.unpackbits(recorded[f"{kind}_masks_packed"])[: np.prod(shape)].reshape(shape).astype(bool)
        ours = np.stack([candidates.masks(int(column))[0] for column in columns])
        assert np.count_nonzero(ours != masks) <= 8
        if f"{kind}_single_low_res_logits" in recorded:
            column = candidates.singles()
            single = candidates.logits[0, column, ::8, ::8].numpy()
            np.testing.assert_allclose(single, recorded[f"{kind}_single_low_res_logits"], atol=tolerance)
            score = candidates.scores[0, column]
            np.testing.assert_allclose(score, recorded[f"{kind}_single_iou_predictions"], atol=tolerance)


def recorded_prompts(recorded: Mapping[str, Any], kind: str) -> Prompts:
    """Return the fixture's prompt of a kind: box, point1 or point3."""
    if kind == "box":
        return Prompts.from_boxes(recorded["box_box" if "box_box" in recorded else "box_points"].reshape(1, 4))
    return Prompts.from_points(recorded[f"{kind}_points"][None], recorded[f"{kind}_labels"][None])


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as (H, W, 3) uint8 RGB."""
    return np.array(Image.open(path).convert("RGB"))


def read_json(path: Path) -> Any:
    """Return a JSON file's content."""
    return json.loads(path.read_bytes())
