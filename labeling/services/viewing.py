"""What the viewer asks for: pixel values of one channel, and which images lie beside an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.previews import reduced
from imaging.reading import UnreadableImage, read_pixels
from labeling.models import Image, ImageFile, Score, ScoreRun, Well
from labeling.problems import BadValue

SMALLEST_PX, LARGEST_PX = 64, 30_000


@dataclass(frozen=True)
class Beside:
    """The images before and after one, in some order; None at the ends."""

    previous: int | None
    next: int | None


def pixel_values(file: ImageFile, size_px: int | None = None) -> np.ndarray:
    """Values (H, W) uint16 of a file, at most `size_px` wide and high; all of them when None.

    Raises BadValue, in a sentence, when the file cannot be read now or the size makes no sense.
    """
    if size_px is not None and not SMALLEST_PX <= size_px <= LARGEST_PX:
        raise BadValue(f"A view is {SMALLEST_PX} to {LARGEST_PX:,} pixels wide.")
    try:
        pixels = read_pixels(file.uri, file.page)
    except UnreadableImage as reason:
        raise BadValue(f"{file.uri.rsplit('/', 1)[-1]} {reason}.") from reason
    return (pixels if size_px is None else reduced(pixels, size_px)).astype("<u2", copy=False)


def beside_by_score(image: Image, run: ScoreRun) -> Beside:
    """The next worse and the next better image of a run; equal scores are told apart by id."""
    own = Score.objects.filter(run=run, image=image).values_list("score", flat=True).first()
    if own is None:
        return Beside(None, None)
    scores = Score.objects.filter(run=run)
    before = scores.filter(score__lte=own).exclude(score=own, image__gte=image.pk).order_by("-score", "-image_id")
    after = scores.filter(score__gte=own).exclude(score=own, image__lte=image.pk).order_by("score", "image_id")
    return Beside(before.values_list("image_id", flat=True).first(), after.values_list("image_id", flat=True).first())


def beside_on_plate(image: Image) -> Beside:
    """The images before and after in the order they were taken in: plate, well, site."""
    images = Image.objects.of(image.experiment)
    before = images.filter(pk__lt=image.pk).order_by("-pk").values_list("pk", flat=True)
    after = images.filter(pk__gt=image.pk).order_by("pk").values_list("pk", flat=True)
    return Beside(before.first(), after.first())


def neighbour_grid(image: Image) -> list[list[Image | None]]:
    """The same site in the wells around, three rows of three with the image in the middle; None off the plate."""
    row, column = image.well.row, image.well.column
    around = Well.objects.filter(
        plate=image.plate, row__range=(row - 1, row + 1), column__range=(column - 1, column + 1)
    )
    images = {
        (found.well.row, found.well.column): found
        for found in Image.objects.filter(
            well__in=around.values("pk"), site=image.site, timepoint=image.timepoint
        ).with_place()
    }
    return [[images.get((row + down, column + right)) for right in (-1, 0, 1)] for down in (-1, 0, 1)]
