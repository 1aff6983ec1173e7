"""Whatever lies in a folder under an image's name gives a plane that can be measured, or UnreadableImage."""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from imaging.metrics import PLANE_METRICS, measure_plane
from imaging.reading import Plane, UnreadableImage, inspect, read_plane

FOLDER_STAYS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXTENSIONS = st.sampled_from([".tif", ".tiff", ".png", ".jpg", ".csv", ".czi", ""])
DTYPES = st.sampled_from(["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])


def plane_or_reason(path: Path) -> Plane | str:
    """What comes of a file; anything else fails the test."""
    try:
        facts = inspect(str(path))
    except UnreadableImage as reason:
        with contextlib.suppress(UnreadableImage):
            read_plane(str(path))  # of a stack the first page may be whole where a later one is not
        return str(reason)
    try:
        plane = read_plane(str(path))
    except UnreadableImage as reason:
        return str(reason)
    assert plane.pixels.shape == (facts.height, facts.width)
    assert plane.pixels.dtype == (np.uint8 if facts.bit_depth == 8 else np.uint16)
    return plane


def measured(plane: Plane | str) -> np.ndarray:
    """The metrics of a plane that must have been read."""
    assert isinstance(plane, Plane), plane
    values = measure_plane(plane.pixels, container_max=plane.container_max)
    assert values.shape == (len(PLANE_METRICS),)
    return values


def tiff_bytes(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def picture_bytes(pixels: np.ndarray, kind: str) -> bytes:
    """A PNG or JPEG."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@FOLDER_STAYS
@given(
    dtype=DTYPES,
    value=st.integers(0, 200),
    shape=st.sampled_from([(1, 1), (1, 2), (1, 50), (50, 1), (3, 3), (33, 47)]),
    compression=st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"]),
    extension=EXTENSIONS,
)
def test_constant_zero_and_one_pixel_planes_are_measured(
    tmp_path: Path, dtype: str, value: int, shape: tuple[int, int], compression: str | None, extension: str
) -> None:
    path = tmp_path / f"x{extension}"
    path.write_bytes(tiff_bytes(np.full(shape, value, dtype), compression=compression))
    plane = plane_or_reason(path)
    measured(plane)
    assert len(np.unique(plane.pixels)) == 1


@FOLDER_STAYS
@given(share=st.floats(0, 1), bad=st.sampled_from([np.nan, np.inf, -np.inf]), seed=st.integers(0, 99))
def test_planes_with_nan_are_measured_or_refused_by_their_share(
    tmp_path: Path, share: float, bad: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(500, 20, (40, 40)).astype(np.float32)
    n_bad = round(share**4 * pixels.size)  # small shares as often as large ones
    pixels.ravel()[rng.choice(pixels.size, n_bad, replace=False)] = bad
    path = tmp_path / "x.tif"
    path.write_bytes(tiff_bytes(pixels))
    found = plane_or_reason(path)
    if n_bad > 0.01 * pixels.size:
        assert "has no number" in found
    else:
        measured(found)
        assert found.share_filled == pytest.approx(n_bad / pixels.size)


@FOLDER_STAYS
@given(kind=st.sampled_from(["TIFF", "PNG", "JPEG"]), is_grey=st.booleans(), seed=st.integers(0, 99))
def test_rgb_is_grey_when_its_colours_are_equal_and_refused_otherwise(
    tmp_path: Path, kind: str, is_grey: bool, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 24, 3)).astype(np.uint8)
    if is_grey:
        pixels = np.repeat(pixels[..., :1], 3, axis=-1)
    path = tmp_path / "x.tif"
    path.write_bytes(picture_bytes(pixels, kind))
    found = plane_or_reason(path)
    if is_grey:
        measured(found)
    else:
        assert "is a colour picture" in found


WHOLE = {
    "tiff": tiff_bytes(np.random.default_rng(1).integers(0, 4000, (24, 40)).astype(np.uint16)),
    "lzw": tiff_bytes(np.random.default_rng(1).integers(0, 4000, (24, 40)).astype(np.uint16), compression="lzw"),
    "float": tiff_bytes(np.random.default_rng(1).random((24, 40)).astype(np.float32), compression="zlib"),
    "12-bit": tiff_bytes(np.random.default_rng(1).integers(0, 4000, (24, 40)).astype(np.uint16), bitspersample=12),
    "rgb": tiff_bytes(np.full((24, 40, 3), 9, np.uint8), photometric="rgb"),
    "pages": tiff_bytes(np.random.default_rng(1).integers(0, 4000, (3, 24, 40)).astype(np.uint16)),
    "png": picture_bytes(np.random.default_rng(1).integers(0, 255, (24, 40)).astype(np.uint8), "PNG"),
    "png rgb": picture_bytes(np.full((24, 40, 3), 9, np.uint8), "PNG"),
    "jpeg": picture_bytes(np.random.default_rng(1).integers(0, 255, (24, 40)).astype(np.uint8), "JPEG"),
    "jpeg rgb": picture_bytes(np.full((24, 40, 3), 9, np.uint8), "JPEG"),
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    cut=st.integers(0, 4000),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8),
    extension=EXTENSIONS,
)
def test_cut_and_damaged_files_give_a_plane_or_a_reason(
    tmp_path: Path, kind: str, cut: int, changes: list[tuple[int, int]], extension: str
) -> None:
    data = bytearray(WHOLE[kind][: max(0, len(WHOLE[kind]) - (cut if cut < 2000 else 0))])
    for place, value in changes:
        if data:
            data[place % len(data)] = value
    path = tmp_path / f"x{extension}"
    path.write_bytes(data)
    found = plane_or_reason(path)
    if isinstance(found, Plane) and found.pixels.size < 10**5:
        measured(found)


@FOLDER_STAYS
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode), extension=EXTENSIONS)
def test_what_is_no_image_is_a_reason_whatever_its_name(tmp_path: Path, data: bytes, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    path.write_bytes(data)
    assert isinstance(plane_or_reason(path), str)


def test_a_file_of_0_bytes_is_a_reason(tmp_path: Path) -> None:
    for extension in (".tif", ".png", ".jpg", ".nd2"):
        (tmp_path / f"x{extension}").touch()
        assert "is empty (0 bytes)" in plane_or_reason(tmp_path / f"x{extension}")


@pytest.mark.parametrize("kind", ["tiff", "deflate", "png", "float"])
def test_a_picture_30_000_pixels_wide_is_measured(tmp_path: Path, kind: str) -> None:
    pixels = np.random.default_rng(2).integers(90, 400, (16, 30_000)).astype(np.uint16)
    data = {
        "tiff": lambda: tiff_bytes(pixels),
        "deflate": lambda: tiff_bytes(pixels, compression="zlib", predictor=True),
        "png": lambda: picture_bytes(pixels, "PNG"),
        "float": lambda: tiff_bytes(pixels.astype(np.float32)),
    }
    path = tmp_path / "x.tif"
    path.write_bytes(data[kind]())
    plane = plane_or_reason(path)
    measured(plane)
    assert np.array_equal(plane.pixels, pixels)


def test_a_picture_30_000_pixels_both_ways_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    rows = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 16, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "claims 30000 x 30000 pixels" in plane_or_reason(path)
