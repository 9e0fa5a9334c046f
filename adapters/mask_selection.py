"""FastSAM's prompt step: choosing among masks that exist already.

Source: CASIA-IVA-Lab/FastSAM@b4ed20c, fastsam/prompt.py (box_prompt, point_prompt), vectorised; the order of the
prompts is kept and nothing that was given is written to.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.prompts import BACKGROUND, FOREGROUND, PADDING

_CHUNK = 16


def by_box(masks: Tensor, boxes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return for each of (N, 4) boxes the mask of highest IoU between the box's area and the mask's pixels.

    Boxes are rounded to whole pixels and cut at the image's edges.

    Args:
        masks: (M, H, W) uint8 0/1, M >= 1.
        boxes: (N, 4) x0 y0 x1 y1 in pixels.
    """
    height, width = masks.shape[1:]
    rounded = np.rint(boxes).astype(np.int64)
    rounded[:, :2] = rounded[:, :2].clip(min=0)
    rounded[:, 2:] = rounded[:, 2:].clip(max=(width, height))
    x0, y0, x1, y1 = rounded.T
    columns = torch.from_numpy(_between(x0, x1, width)).to(masks.device)
    rows = torch.from_numpy(_between(y0, y1, height)).to(masks.device)
    inside, areas = [], []
    for start in range(0, len(masks), _CHUNK):
        chunk = masks[start : start + _CHUNK]
        by_column = torch.matmul(rows, chunk.float())
        inside.append((by_column * columns).sum(-1).T)
        areas.append(chunk.flatten(1).sum(1, dtype=torch.int64))
    shared = torch.cat(inside, dim=1).cpu().numpy().astype(np.int64)
    union = ((x1 - x0) * (y1 - y0))[:, None] + torch.cat(areas).cpu().numpy() - shared
    return np.asarray(np.argmax(_ratio(shared, union), axis=1))


def by_box_of_mask(masks: Tensor, boxes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return for each box the mask whose own bounding box has the highest IoU with it (the paper's rule, section 3.3).

    Args:
        masks: (M, H, W) uint8 0/1, M >= 1.
        boxes: (N, 4) x0 y0 x1 y1 in pixels.
    """
    own = _bounding_boxes(masks)
    low = np.maximum(boxes[:, None, :2], own[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], own[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(-1) for corners in (boxes, own)]
    return np.asarray(np.argmax(_ratio(shared, areas[0][:, None] + areas[1] - shared), axis=1))


def by_points(masks: Tensor, points: NDArray[np.float64], labels: NDArray[np.int8]) -> list[list[tuple[int, int]]]:
    """Return for each of N prompts which masks to paint, in order: (mask, 1 to add it or 0 to take it away).

    Masks go from large to small. A mask is painted with the label of the last point that lies in it.

    Args:
        masks: (M, H, W) uint8 0/1.
        points: (N, K, 2) x y in pixels; rounded down, cut at the image's edges.
        labels: (N, K).
    """
    height, width = masks.shape[1:]
    pixels = np.floor(points).astype(np.int64).clip(0, (width - 1, height - 1))
    hit = masks[:, torch.from_numpy(pixels[..., 1]), torch.from_numpy(pixels[..., 0])].bool().cpu().numpy()
    hit &= labels != PADDING
    areas = masks.flatten(1).sum(1, dtype=torch.int64).cpu().numpy()
    by_area = np.argsort(-areas, kind="stable")
    last = labels.shape[1] - 1 - np.argmax(hit[..., ::-1], axis=-1)
    return [
        [(int(mask), int(labels[row, last[mask, row]])) for mask in by_area if hit[mask, row].any()]
        for row in range(len(points))
    ]


def paint(masks: Tensor, strokes: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return the (H, W) mask that the strokes of :func:`by_points` make."""
    canvas = torch.zeros_like(masks[0], dtype=torch.bool) if len(masks) else torch.zeros(masks.shape[1:]).bool()
    for mask, label in strokes:
        assert label in (FOREGROUND, BACKGROUND)
        canvas[masks[mask].bool()] = bool(label)
    return canvas.cpu().numpy()


def _between(start: NDArray[np.int64], stop: NDArray[np.int64], length: int) -> NDArray[np.float32]:
    """Return (N, length), 1 where start <= index < stop."""
    index = np.arange(length)
    return ((index >= start[:, None]) & (index < stop[:, None])).astype(np.float32)


def _ratio(shared: NDArray[np.generic], union: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return shared / union in single precision, as the official code divides; 0 where there is no union."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(shared.astype(np.float32) / union.astype(np.float32), posinf=0.0))


def _bounding_boxes(masks: Tensor) -> NDArray[np.float64]:
    boxes = np.zeros((len(masks), 4))
    for index, mask in enumerate(masks):
        rows, columns = (mask.amax(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if rows:
            boxes[index] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
