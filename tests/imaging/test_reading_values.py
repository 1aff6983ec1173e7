"""From any numbers and containers to the uint8 or uint16 that is measured."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from PIL import Image as PillowImage

from imaging.metrics import measure_plane
from imaging.reading import Plane, UnreadableImage, inspect, read_plane
from imaging.reading.values import convert

H, W = 12, 20
SCENE = (np.add.outer(np.arange(H) * 300, np.arange(W) * 17) % 4096).astype(np.uint16)


def saved(folder: Path, pixels: np.ndarray, **options: object) -> str:
    """A TIFF of these numbers."""
    path = folder / "x.tif"
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return str(path)


def read_both(uri: str) -> Plane:
    """The plane, checked against what its header promised."""
    facts, plane = inspect(uri), read_plane(uri)
    assert plane.pixels.shape == (facts.height, facts.width)
    assert plane.pixels.dtype == (np.uint8 if facts.bit_depth == 8 else np.uint16)
    assert plane.pixels.flags.c_contiguous
    assert plane.container_max == 2**facts.bit_depth - 1
    return plane


@pytest.mark.parametrize("dtype", ["int16", "uint32", "int32", "uint64", "int64", "float32", "float64"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits"])
def test_counts_keep_their_values_in_every_container(tmp_path: Path, dtype: str, compression: str | None) -> None:
    plane = read_both(saved(tmp_path, SCENE.astype(dtype), compression=compression))
    assert np.array_equal(plane.pixels, SCENE)
    assert (plane.scaling, plane.share_filled) == ("", 0.0)


def test_the_container_is_named(tmp_path: Path) -> None:
    assert inspect(saved(tmp_path, SCENE.astype(np.float32))).stored_as == "float32"
    assert inspect(saved(tmp_path, SCENE)).stored_as == "uint16"


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("tiled", [False, True])
def test_packed_bits_are_unpacked(tmp_path: Path, bits: int, tiled: bool) -> None:
    pixels = SCENE % 2**bits
    options = {"tile": (16, 16)} if tiled else {}
    uri = saved(tmp_path, pixels, bitspersample=bits, **options)
    assert np.array_equal(read_both(uri).pixels, pixels)
    assert inspect(uri).stored_as == f"{bits}-bit"
    data = Path(uri).read_bytes()
    with tifffile.TiffFile(uri) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    Path(uri).write_bytes(data[: start + 10])
    with pytest.raises(UnreadableImage):
        inspect(uri)


def test_twelve_and_fourteen_bits_and_offsets_in_sixteen_are_left_alone(tmp_path: Path) -> None:
    for pixels in (SCENE, SCENE + 32768, np.minimum(SCENE * 4, 16383)):
        assert np.array_equal(read_both(saved(tmp_path, pixels)).pixels, pixels)


def test_big_endian_and_predictors_of_wide_numbers(tmp_path: Path) -> None:
    for options in ({"byteorder": ">"}, {"compression": "zlib", "predictor": True}):
        for dtype in (np.uint32, np.float32):
            assert np.array_equal(read_both(saved(tmp_path, SCENE.astype(dtype), **options)).pixels, SCENE)


def test_fractions_become_the_whole_range(tmp_path: Path) -> None:
    fractions = (SCENE / 4095).astype(np.float32)
    plane = read_both(saved(tmp_path, fractions))
    assert plane.scaling == "0 to 1 became 0 to 65,535"
    assert np.abs(plane.pixels / 65535 - fractions).max() < 1e-5


def test_a_little_overshoot_keeps_the_scale_of_fractions() -> None:
    """Or one bright pixel would make the plane 16 times darker than its neighbours."""
    fractions = np.linspace(0, 0.9, 1000).reshape(20, 50)
    brighter = fractions.copy()
    brighter[0, 0] = 1.4
    one, other = convert(fractions), convert(brighter)
    assert one.scaling == other.scaling
    assert other.pixels[0, 0] == 65535
    assert np.array_equal(one.pixels.ravel()[1:], other.pixels.ravel()[1:])


def test_small_numbers_with_decimals_are_not_rounded_to_a_few_levels() -> None:
    converted = convert(np.linspace(0, 12, 1000, dtype=np.float32).reshape(20, 50))
    assert converted.scaling == "multiplied by 4,095"
    assert len(np.unique(converted.pixels)) == 1000


def test_counts_with_decimals_are_rounded() -> None:
    converted = convert(np.array([[0.4, 99.6, 4000.5]]))
    assert (converted.pixels.tolist(), converted.scaling) == ([[0, 100, 4000]], "")


@pytest.mark.parametrize(
    ("high", "scaling"),
    [
        (65_535, ""),
        (65_536, "divided by 16"),
        (10**6, "divided by 16"),
        (1_048_576, "divided by 256"),
        (2**32 - 1, "divided by 65,536"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint32", "float64"])
def test_what_exceeds_16_bits_is_divided_by_a_coarse_step(high: int, scaling: str, dtype: str) -> None:
    converted = convert(np.array([[0, 16, high]], dtype))
    assert converted.scaling == scaling
    assert 4095 <= converted.pixels.max() <= 65_535
    assert converted.pixels[0, 0] == 0


def test_planes_of_one_brightness_share_one_scale() -> None:
    rng = np.random.default_rng(0)
    scalings = {
        convert(rng.integers(0, high, (9, 9)).astype(np.uint32)).scaling for high in (200_000, 400_000, 900_000)
    }
    assert scalings == {"divided by 16"}


def test_negative_numbers_become_0_where_they_are_few() -> None:
    for dtype in (np.int16, np.float32, np.int8):
        converted = convert(np.array([[-3, 0, 5, 100]], dtype))
        assert converted.pixels.tolist() == [[0, 0, 5, 100]]
        assert converted.scaling == "negative numbers became 0"
        assert converted.pixels.dtype == (np.uint8 if dtype == np.int8 else np.uint16)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_plane_mostly_below_0_is_refused(tmp_path: Path, dtype: str) -> None:
    uri = saved(tmp_path, (SCENE.astype(np.int32) - 32768).astype(dtype))
    with pytest.raises(UnreadableImage, match="holds negative numbers in 100 % of its pixels"):
        read_plane(uri)


def test_a_few_pixels_without_a_number_get_the_median_and_it_is_said(tmp_path: Path) -> None:
    pixels = SCENE.astype(np.float32)
    pixels[3, 4], pixels[5, 6] = np.nan, np.inf
    plane = read_both(saved(tmp_path, pixels))
    assert plane.share_filled == pytest.approx(2 / pixels.size)
    rest = np.isfinite(pixels)
    assert np.array_equal(plane.pixels[rest], SCENE[rest])
    assert plane.pixels[3, 4] == plane.pixels[5, 6] == round(float(np.median(SCENE[rest])))


def test_many_pixels_without_a_number_are_a_reason(tmp_path: Path) -> None:
    pixels = SCENE.astype(np.float32)
    pixels[0] = np.nan
    with pytest.raises(UnreadableImage, match=r"has no number \(NaN or infinite\) in 8.3 % of its pixels"):
        read_plane(saved(tmp_path, pixels))
    with pytest.raises(UnreadableImage, match=r"in 100.0 % of its pixels"):
        read_plane(saved(tmp_path, np.full((3, 3), np.nan, np.float32)))


def test_a_negative_of_white_is_zero_in_any_unsigned_container(tmp_path: Path) -> None:
    pixels = (SCENE % 4096).astype(np.uint16)
    uri = saved(tmp_path, pixels, bitspersample=12, photometric="miniswhite")
    assert np.array_equal(read_plane(uri).pixels, 4095 - pixels)
    with pytest.raises(UnreadableImage, match="stored as a negative"):
        read_plane(saved(tmp_path, SCENE.astype(np.float32), photometric="miniswhite"))


def test_a_plane_that_unpacks_to_too_much_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = saved(tmp_path, SCENE.astype(np.float64))
    monkeypatch.setattr("imaging.reading.problems.MAX_DECODED_BYTES", 1000)
    with pytest.raises(UnreadableImage, match="when it is unpacked"):
        inspect(uri)


@settings(max_examples=200, deadline=None)
@given(
    nps.arrays(
        st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64])
        | st.sampled_from([np.float16, np.float32, np.float64]),
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
    )
)
def test_any_numbers_give_a_measurable_plane_or_a_reason(pixels: np.ndarray) -> None:
    try:
        converted = convert(pixels)
    except UnreadableImage:
        return
    assert converted.pixels.shape == pixels.shape
    assert converted.pixels.dtype in (np.uint8, np.uint16)
    assert 0 <= converted.share_filled <= 0.01
    measure_plane(converted.pixels, container_max=int(np.iinfo(converted.pixels.dtype).max))


@given(nps.arrays(np.float64, (4, 5), elements=st.floats(0, 1e12)), st.floats(0, 1e6))
def test_brighter_stays_brighter(pixels: np.ndarray, more: float) -> None:
    """Within a plane the order of pixels is never turned round."""
    flat = pixels.ravel()
    converted = convert(pixels).pixels.ravel().astype(np.int64)
    order = np.argsort(flat, kind="stable")
    assert (np.diff(converted[order]) >= 0).all()


# JPEG, and grey in disguise


def picture_bytes(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """A picture in another format."""
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


GREY = (SCENE // 16).astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_grey_jpeg_is_read(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "x.tif"  # by content, not by name
    path.write_bytes(picture_bytes(GREY, "JPEG", quality=100, **options))
    plane = read_both(str(path))
    assert np.abs(plane.pixels.astype(int) - GREY).max() < 5
    assert inspect(str(path)).stored_as == "uint8 (JPEG)"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_grey_picture_saved_as_rgb_is_grey(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(picture_bytes(np.stack([GREY] * 3, -1), kind, **({"quality": 100} if kind == "JPEG" else {})))
    plane = read_both(str(path))
    assert np.abs(plane.pixels.astype(int) - GREY).max() < 5


def test_sixteen_bit_rgb_of_equal_colours_is_grey(tmp_path: Path) -> None:
    assert np.array_equal(read_both(saved(tmp_path, np.stack([SCENE] * 3, -1), photometric="rgb")).pixels, SCENE)
    planar = saved(tmp_path, np.stack([SCENE] * 3), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_both(planar).pixels, SCENE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_colour_picture_is_refused_by_its_header_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(picture_bytes(np.stack([GREY, GREY, 255 - GREY], -1), kind))
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match="is a colour picture"):
            read(str(path))


def test_a_jpeg_cut_anywhere_is_cut_short(tmp_path: Path) -> None:
    """The decoder itself would fill the rest with grey and say nothing."""
    data = picture_bytes(GREY, "JPEG")
    path = tmp_path / "x.jpg"
    for size in range(4, len(data) - 1, 7):
        path.write_bytes(data[:size])
        for read in (inspect, read_plane):
            with pytest.raises(UnreadableImage):
                read(str(path))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"\xff\xc3\x00\x0b\x08\x00\x0c\x00\x14\x01\x01\x11\x00", "is a JPEG of an unusual kind"),
        (b"\xff\xc1\x00\x0b\x0c\x00\x0c\x00\x14\x01\x01\x11\x00", "is a 12-bit JPEG"),
        (b"\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00", "claims 65535 x 65535 pixels"),
        (b"\xff\xc0\x00\x0b\x08\x00\x0c\x00\x14\x04\x01\x11\x00", "is a colour picture"),
        (b"\xff\xc0\x00\x0b\x08\x00\x00\x00\x14\x01\x01\x11\x00", "has no pixels"),
    ],
)
def test_odd_jpegs_are_refused_by_their_header(tmp_path: Path, frame: bytes, expected: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8" + frame + b"\xff\xd9")
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match=expected):
            read(str(path))


def test_a_jpeg_with_endless_scans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    data = picture_bytes(GREY, "JPEG")
    path.write_bytes(data[:-2] + b"\xff\xda\x00\x02" * 200 + b"\xff\xd9")
    with pytest.raises(UnreadableImage, match="damaged"):
        read_plane(str(path))


# Formats of one vendor


def test_a_vendors_file_names_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "plate.nd2"
    path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match=r"is a Nikon file \(.nd2\).*'cellqc\[bioio\]' and 'bioio-nd2'"):
            read(str(path))


def test_a_vendors_file_is_read_through_bioio_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FakeImage:
        shape = (1, 2, 3, H, W)
        dtype = np.dtype(np.uint16)

        def get_image_data(self, _order: str, **at: int) -> np.ndarray:
            return SCENE + 100 * at["C"] + at["Z"]

    monkeypatch.setattr("imaging.reading.vendor.open_vendor", lambda _uri: FakeImage())
    path = tmp_path / "plate.nd2"
    path.write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    assert np.array_equal(read_plane(str(path), 4).pixels, SCENE + 101)
    assert (inspect(str(path), 4).n_pages, inspect(str(path), 4).n_channels) == (6, 2)
    with pytest.raises(UnreadableImage, match="has 6 pages; page 7 is not there"):
        read_plane(str(path), 6)


def test_imagecodecs_agrees(tmp_path: Path) -> None:
    """Another reader gives the same numbers."""
    for compression in ("lzw", "zlib", "zstd"):
        uri = saved(tmp_path, SCENE, compression=compression, predictor=compression != "zstd")
        assert np.array_equal(read_plane(uri).pixels, imagecodecs.imread(uri).squeeze())
