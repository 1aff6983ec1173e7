"""From the files of a field to its numbers: one read gives metrics, hashes and thumbnails."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from imaging import previews
from imaging.metrics import camera_ceiling, measure_field_planes
from imaging.previews import DisplayRange, PlaneSample
from imaging.reading import Plane, UnreadableImage, read_pixels, read_plane

log = logging.getLogger(__name__)

COMPOSITE = "composite"
UINT8_MAX, UINT16_MAX = 255, 65535
# Cameras of 10 and 11 bits, and how many planes must end at the same value, with none above, to be one's.
SMALL_CEILINGS = (1023, 2047)
PLANES_THAT_SHOW_A_CEILING = 3


@dataclass(frozen=True)
class FileOfField:
    """Where one channel of a field is."""

    channel: str
    uri: str
    page: int = 0


@dataclass(frozen=True)
class Field:
    """One field of view to measure. `key` is the caller's and comes back with the result."""

    key: int
    files: tuple[FileOfField, ...]


@dataclass(frozen=True)
class ChannelRecipe:
    """How one channel is measured and shown."""

    name: str
    colour: str
    shown: DisplayRange
    ceiling: int | None


@dataclass(frozen=True)
class MeasuredField:
    """What came of a field: values and thumbnails, or the problem in words and the file that has it.

    Hashes and scalings (`Plane.scaling`) are in channel order.
    """

    key: int
    values: np.ndarray | None = None
    file_sha256: tuple[str, ...] = ()
    scalings: tuple[str, ...] = ()
    content_hash: str = ""
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    problem: str = ""
    broken_uri: str = ""


def measure_fields(
    fields: Iterable[Field], recipe: Sequence[ChannelRecipe], *, with_thumbnails: bool = True
) -> list[MeasuredField]:
    """Measure a chunk of fields. A field that cannot be read gives its problem and stops nothing."""
    return [measure_or_tell(one, recipe, with_thumbnails=with_thumbnails) for one in fields]


def measure_or_tell(one: Field, recipe: Sequence[ChannelRecipe], *, with_thumbnails: bool) -> MeasuredField:
    """As `measure_field`; what nobody expected is the problem of this field alone, and in the log."""
    try:
        return measure_field(one, recipe, with_thumbnails=with_thumbnails)
    except Exception:
        names = ", ".join(file.uri.rsplit("/", 1)[-1] for file in one.files)
        log.exception("measuring failed for %s", names)
        problem = f"cellqc did not expect what is in these files: {names}. Look at them, and show them to your admin."
        return MeasuredField(one.key, problem=problem, broken_uri=one.files[0].uri)


def measure_field(one: Field, recipe: Sequence[ChannelRecipe], *, with_thumbnails: bool = True) -> MeasuredField:
    """Metrics of all channels (in the order of `metric_columns`), hashes and thumbnails of one field."""
    planes: list[Plane] = []
    for file in one.files:
        try:
            planes.append(read_plane(file.uri, file.page))
        except UnreadableImage as reason:
            return MeasuredField(one.key, problem=f"{file.channel}: {reason}", broken_uri=file.uri)
    if len({plane.pixels.shape for plane in planes}) > 1:
        sizes = ", ".join(
            f"{file.channel} {plane.pixels.shape[1]} x {plane.pixels.shape[0]}"
            for file, plane in zip(one.files, planes, strict=True)
        )
        return MeasuredField(one.key, problem=f"The channels differ in size ({sizes}).", broken_uri=one.files[0].uri)
    for file, plane, channel in zip(one.files, planes, recipe, strict=True):
        # Ingest refuses such files; this one was changed since.
        if channel.ceiling is not None and (channel.ceiling > UINT8_MAX) != (plane.container_max > UINT8_MAX):
            bits = (8, 16) if channel.ceiling > UINT8_MAX else (16, 8)
            return MeasuredField(one.key, problem=f"{file.channel}: {of_another_depth(*bits)}", broken_uri=file.uri)
    values = measure_field_planes(
        [plane.pixels for plane in planes],
        [plane.container_max for plane in planes],
        [channel.ceiling for channel in recipe],
    )
    return MeasuredField(
        one.key,
        values=values,
        file_sha256=tuple(plane.sha256 for plane in planes),
        scalings=tuple(plane.scaling for plane in planes),
        content_hash=content_hash((plane.sha256, file.page) for plane, file in zip(planes, one.files, strict=True)),
        thumbnails=draw_thumbnails(planes, recipe) if with_thumbnails else {},
    )


def crashed_field(one: Field) -> MeasuredField:
    """What came of a field whose files took their process down."""
    names = ", ".join(file.uri.rsplit("/", 1)[-1] for file in one.files)
    problem = f"Reading these files made the process crash: {names}. Copy them again from the microscope."
    return MeasuredField(one.key, problem=problem, broken_uri=one.files[0].uri)


def of_another_depth(bits: int, usual_bits: int) -> str:
    """Why a plane of so many bits is not measured in a channel whose other files have more, or fewer."""
    return (
        f"holds {bits}-bit numbers, where other files of its channel hold {usual_bits}-bit ones, so that they cannot "
        "be compared; export all files of a channel alike"
    )


def draw_thumbnails(planes: Sequence[Plane], recipe: Sequence[ChannelRecipe]) -> dict[str, bytes]:
    """A grey JPEG for each channel and, for several channels, one colour composite."""
    small = [previews.shrink(plane.pixels, previews.THUMBNAIL_PX) for plane in planes]
    thumbnails = {
        channel.name: previews.grey_jpeg(plane, channel.shown) for plane, channel in zip(small, recipe, strict=True)
    }
    thumbnails[COMPOSITE] = (
        previews.colour_jpeg(small, [c.shown for c in recipe], [c.colour for c in recipe])
        if len(recipe) > 1
        else thumbnails[recipe[0].name]
    )
    return thumbnails


def redraw_fields(fields: Iterable[Field], recipe: Sequence[ChannelRecipe]) -> list[MeasuredField]:
    """Only the thumbnails of a chunk of fields, for new display ranges."""
    drawn = []
    for one in fields:
        try:
            planes = [read_plane(file.uri, file.page) for file in one.files]
        except UnreadableImage as reason:
            drawn.append(MeasuredField(one.key, problem=str(reason)))
        else:
            drawn.append(MeasuredField(one.key, thumbnails=draw_thumbnails(planes, recipe)))
    return drawn


def sample_fields(fields: Iterable[Field]) -> list[dict[str, PlaneSample]]:
    """For each readable field, each channel's sample; unreadable fields are left out."""
    samples = []
    for one in fields:
        try:
            planes = {file.channel: read_pixels(file.uri, file.page) for file in one.files}
        except UnreadableImage:
            continue
        samples.append({name: previews.sample_plane(pixels) for name, pixels in planes.items()})
    return samples


def ceiling_of_channel(extremes: Iterable[tuple[int, int]], container_max: int) -> int:
    """The camera's ceiling, guessed from the smallest and largest values of many planes of one channel.

    A camera of 10 or 11 bits shows only by planes that pile up at its ceiling: without any, a dim channel of a
    12-bit camera looks the same, and 4095 is right for both, because nothing is saturated.
    """
    pairs = list(extremes)
    largest = max(high for _, high in pairs)
    n_at_largest = sum(high == largest for _, high in pairs)
    if container_max == UINT16_MAX and largest in SMALL_CEILINGS and n_at_largest >= PLANES_THAT_SHOW_A_CEILING:
        return largest
    return camera_ceiling(np.array(sorted({value for pair in pairs for value in pair})), container_max)


def content_hash(files: Iterable[tuple[str, int]]) -> str:
    """SHA-256 that names a field by its pixels' files: their hashes and pages in channel order."""
    text = "\n".join(f"{sha256}:{page}" for sha256, page in files)
    return hashlib.sha256(text.encode()).hexdigest()
