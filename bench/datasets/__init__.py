"""Images with annotations, read from disk."""

from bench.datasets.dataset import Annotation, Dataset, Image
from bench.datasets.folders import open_dataset

__all__ = ["Annotation", "Dataset", "Image", "open_dataset"]
