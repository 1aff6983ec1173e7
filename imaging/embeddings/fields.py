"""From the files of a field to its vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from imaging.embeddings.networks import NetworkFile
from imaging.embeddings.planes import pictures
from imaging.embeddings.runtime import input_side_px, run_network
from imaging.measure import Field
from imaging.previews import DisplayRange
from imaging.reading import UnreadableImage, read_pixels


@dataclass(frozen=True)
class EmbeddingRecipe:
    """The network, and what each channel shows black and white, in channel order."""

    network: NetworkFile
    ranges: tuple[DisplayRange, ...]


@dataclass(frozen=True)
class EmbeddedField:
    """What came of a field: its vector, or the problem in words."""

    key: int
    vector: np.ndarray | None = None
    problem: str = ""


def embed_fields(fields: Iterable[Field], recipe: EmbeddingRecipe) -> list[EmbeddedField]:
    """Vectors of a chunk of fields. A field that cannot be read gives its problem and stops nothing."""
    return [embed_field(one, recipe) for one in fields]


def embed_field(one: Field, recipe: EmbeddingRecipe) -> EmbeddedField:
    """The vector (D,) float32 of one field; D does not depend on how many channels there are."""
    planes = []
    for file in one.files:
        try:
            planes.append(read_pixels(file.uri, file.page))
        except UnreadableImage as reason:
            return EmbeddedField(one.key, problem=f"{file.channel}: {reason}")
    return EmbeddedField(one.key, vector=embed_planes(planes, recipe))


def embed_planes(planes: Sequence[np.ndarray], recipe: EmbeddingRecipe) -> np.ndarray:
    """One vector (D,) float32 for the planes of a field, each (H, W), in channel order."""
    path = recipe.network.local_path()
    return pool(run_network(path, pictures(planes, recipe.ranges, input_side_px(path))), len(planes))


def pool(vectors: np.ndarray, n_channels: int) -> np.ndarray:
    """(C + 1, D) of a field's pictures -> (2 D,): the mean of its channels, then what they share.

    The order of channels does not matter, nor how many there are. The maximum beside the mean, all channels one after
    the other, or three in one picture scored no better (docs/embeddings.md) and are of another length for each assay,
    or blind to a fourth channel. A single channel shares itself.
    """
    return np.concatenate([vectors[:n_channels].mean(axis=0), vectors[-1]])
