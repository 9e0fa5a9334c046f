"""Datasets: every layout and every kind of segmentation, and one clear line for what can't be read."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage
from pycocotools import mask as codec

from adapters.errors import InputError
from bench.datasets import open_dataset
from bench.datasets.annotations import check_annotations, run_lengths
from bench.datasets.check import check_images
from bench.datasets.sample import HEIGHT, WIDTH, write_sample
from tests.conftest import read_json

SIZE = (30, 40)


def a_mask():
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[5:20, 8:30] = 1
    return mask


def segmentations():
    """Return one mask as polygons, uncompressed RLE and compressed RLE."""
    rle = codec.encode(a_mask())
    flat = np.concatenate([[0], a_mask().ravel(order="F"), [0]])
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)), [a_mask().size]]))
    return {
        "polygons": [[8, 5, 30, 5, 30, 20, 8, 20]],
        "uncompressed": {"size": list(SIZE), "counts": runs.tolist()},
        "compressed": {"size": list(SIZE), "counts": rle["counts"].decode()},
    }


def a_file(**image):
    """Return an annotation file's content with one image and one annotation."""
    annotation = {
        "id": 7,
        "image_id": 1,
        "category_id": 3,
        "bbox": [8, 5, 22, 15],
        "area": 330,
        "iscrowd": 0,
        "segmentation": segmentations()["polygons"],
    }
    return {
        "images": [{"id": 1, "height": SIZE[0], "width": SIZE[1], "file_name": "a.png", **image}],
        "annotations": [annotation],
        "categories": [{"id": 3, "name": "thing"}],
    }


def write(folder, content, image="images/a.png", annotations="annotations.json"):
    """Write a data set of one image."""
    for name in (image, annotations):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    PillowImage.fromarray(pixels).save(folder / image)
    (folder / annotations).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", ["polygons", "uncompressed", "compressed"])
def test_every_kind_of_segmentation_gives_the_mask(tmp_path, kind):
    content = a_file()
    content["annotations"][0]["segmentation"] = segmentations()[kind]
    [image] = open_dataset(write(tmp_path, content)).images
    np.testing.assert_array_equal(image.annotations[0].mask(*SIZE), a_mask().astype(bool))
    assert image.annotations[0].box == (8, 5, 30, 20)


@pytest.mark.parametrize(
    ("image", "annotations", "extra"),
    [
        ("images/a.png", "annotations.json", {}),
        ("val2017/a.png", "annotations/instances_val2017.json", {}),
        ("train2017/a.png", "lvis_v1_val.json", {"coco_url": "http://x/train2017/a.png", "neg_category_ids": []}),
        (
            "val2017/a.png",
            "annotations/lvis_v1_val.json",
            {"coco_url": "http://x/val2017/a.png", "neg_category_ids": []},
        ),
    ],
)
def test_every_layout(tmp_path, image, annotations, extra):
    content = a_file(**extra)
    if extra:
        del content["images"][0]["file_name"]
    dataset = open_dataset(write(tmp_path, content, image, annotations))
    assert dataset.images[0].pixels().shape == (*SIZE, 3)
    assert dataset.kind == ("lvis" if extra else "coco")
    check_images(dataset)


def test_part_of_a_dataset_says_so(sample):
    assert sample.first(2).name == f"{sample.name}[:2]"
    assert sample.first(2).digest != sample.digest
    assert sample.first(99) is sample
    with pytest.raises(InputError, match="--limit 0"):
        sample.first(0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda c: c["annotations"][0].update(bbox=[8, 5, 52, 15]),
            "1 of 1 boxes stick out .* boxes are x y width height",
        ),
        (lambda c: c["annotations"][0].update(bbox=[8, 5]), "isn't in COCO's format"),
        (lambda c: c["annotations"][0].update(bbox=None), "isn't in COCO's format"),
        (lambda c: c["annotations"][0].update(area="much"), "isn't in COCO's format"),
        (lambda c: c["annotations"][0].update(id="7"), "annotation '7': its id isn't a whole number"),
        (lambda c: c["annotations"][0].update(category_id=4), "annotation 7: category 4 isn't among the categories"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "annotation 7 stands there twice"),
        (lambda c: c["images"].append(c["images"][0]), "image 1 stands there twice"),
        (lambda c: c["images"].clear(), "names no images"),
        (lambda c: c.update(annotations=None), "isn't in COCO's format"),
        (lambda c: c["images"][0].pop("file_name"), "neither file_name nor coco_url"),
        (lambda c: c["annotations"][0].update(image_id=9), "annotation 7 is of image 9, which isn't there"),
        (lambda c: c["annotations"][0].pop("area"), "isn't in COCO's format .*'area'"),
        (lambda c: c.pop("categories"), "isn't COCO's format"),
    ],
)
def test_bad_annotations_get_one_line(tmp_path, change, said):
    content = a_file()
    change(content)
    with pytest.raises(InputError, match=said) as caught:
        open_dataset(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_missing_folder_and_a_folder_of_something_else(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no annotations"):
        open_dataset(tmp_path)
    (tmp_path / "annotations.json").write_text("{not json")
    with pytest.raises(InputError, match="is not JSON"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bbox": [40, 5, 1, 5]}, "lies outside the 40x30 image"),
        ({"bbox": [8, 5, float("nan"), 5]}, "isn't finite"),
        ({"segmentation": []}, "polygons"),
        ({"segmentation": [[1, 2, 3, 4]]}, "polygons"),
        ({"segmentation": None}, "isn't polygons, nor RLE"),
        ({"segmentation": {"size": [30, 41], "counts": "0"}}, "RLE of the size"),
        ({"segmentation": {"size": [30, 40], "counts": [5, 5]}}, "doesn't fill the image"),
        ({"segmentation": {"size": [30, 40], "counts": "0oooo"}}, "doesn't fill the image"),
        ({"segmentation": {"size": [30, 40], "counts": "\x01"}}, "doesn't fill the image"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_found_before_the_run(tmp_path, changes, said):
    content = a_file()
    content["annotations"][0].update(changes)
    dataset = open_dataset(write(tmp_path, content))
    assert said in dataset.images[0].annotations[0].problem
    with pytest.raises(InputError, match=r"annotation 7: .*--keep-going"):
        check_annotations(dataset)


def test_a_box_that_sticks_out_a_little_is_usable(tmp_path):
    content = a_file()
    content["annotations"][0]["bbox"] = [8, 5, 32.9, 15]
    [image] = open_dataset(write(tmp_path, content)).images
    assert image.annotations[0].problem is None


def test_an_annotation_file_can_be_named(tmp_path):
    write(tmp_path, a_file(), "val2017/a.png", "annotations/instances_val2017.json")
    shutil.copy(tmp_path / "annotations/instances_val2017.json", tmp_path / "annotations/lvis_v1_val.json")
    with pytest.raises(InputError, match=r"several annotation files.*lvis_v1_val"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path / "annotations/instances_val2017.json")
    assert dataset.images[0].pixels().shape == (*SIZE, 3)
    assert dataset.name == tmp_path.name


@settings(max_examples=200, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 1)))
def test_run_lengths_are_read_as_pycocotools_writes_them(mask):
    counts = codec.encode(np.asfortranarray(mask))["counts"].decode()
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    assert run_lengths(counts) == np.diff(np.concatenate([[0], ends])).tolist()


def test_an_image_of_sixteen_bits_is_refused(tmp_path):
    folder = write(tmp_path, a_file())
    PillowImage.fromarray(np.full(SIZE, 40000, np.uint16)).save(folder / "images" / "a.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        check_images(open_dataset(folder))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_images_of_other_modes_are_read_as_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    folder = write(tmp_path, a_file(file_name=f"a.{suffix}"), image=f"images/a.{suffix}")
    PillowImage.new(mode, SIZE[::-1]).save(folder / "images" / f"a.{suffix}")
    assert open_dataset(folder).images[0].pixels().shape == (*SIZE, 3)


@pytest.mark.parametrize("how", ["missing", "cut", "other size", "not an image"])
def test_unusable_images_are_found_before_the_run(tmp_path, sample_folder, how):
    folder = tmp_path / "scenes"
    shutil.copytree(sample_folder, folder)
    path = folder / "images" / "000002.png"
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-5000])
    elif how == "other size":
        PillowImage.new("RGB", (10, 10)).save(path)
    else:
        path.write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"image 2: .*--keep-going"):
        check_images(open_dataset(folder))


def test_a_cut_off_jpeg_is_found(tmp_path):
    content = a_file(file_name="a.jpg")
    folder = write(tmp_path, content, image="images/a.jpg")
    check_images(open_dataset(folder))
    path = folder / "images" / "a.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="image 1"):
        check_images(open_dataset(folder))


def test_the_real_sets_are_read(coco, shared):
    annotations = [annotation for image in coco.images for annotation in image.annotations]
    assert (len(coco.images), len(annotations), sum(a.iscrowd for a in annotations)) == (206, 1786, 21)
    lvis = open_dataset(shared / "data" / "lvis_v05_val_34")
    assert lvis.kind == "lvis"
    assert (len(lvis.images), sum(len(image.annotations) for image in lvis.images)) == (34, 247)
    check_images(lvis)


def test_scenes_have_exact_masks_of_all_sizes(sample):
    areas = []
    for image in sample.images:
        covered = np.zeros((HEIGHT, WIDTH), int)
        for annotation in image.annotations:
            mask = annotation.mask(image.height, image.width)
            assert mask.sum() == annotation.area
            rows, columns = np.nonzero(mask)
            assert annotation.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            covered += mask
            areas.append(annotation.area)
        assert covered.max() == 1
    classes = np.digitize(areas, [32**2, 96**2])
    assert set(classes) == {0, 1, 2}
    assert not sample.comparable


def test_scenes_have_holes_overlaps_and_a_crowd(sample):
    annotations = [annotation for image in sample.images for annotation in image.annotations]
    assert sum(annotation.iscrowd for annotation in annotations) == 1
    assert isinstance(next(a for a in annotations if a.iscrowd).segmentation["counts"], list)
    rings = [annotation for annotation in annotations if sample.categories[annotation.category_id] == "ring"]
    assert rings


def test_scenes_are_the_same_for_the_same_seed(sample_folder, tmp_path):
    write_sample(tmp_path / "again", count=4)
    write_sample(tmp_path / "other", count=1, seed=1)
    for path in sample_folder.rglob("*.*"):
        assert (tmp_path / "again" / path.relative_to(sample_folder)).read_bytes() == path.read_bytes()
    other = (tmp_path / "other" / "images" / "000001.png").read_bytes()
    assert other != (sample_folder / "images" / "000001.png").read_bytes()


def test_detections_of_the_scenes_fit_them(sample_folder, sample):
    detections = read_json(sample_folder / "detections.json")
    assert {found["image_id"] for found in detections} == {image.id for image in sample.images}
    assert {found["category_id"] for found in detections} <= set(sample.categories)
