"""Rules for z: files, pages, and projections that have an address of their own."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from imaging.layouts import PlaneSource, ZRule, choose_z, explain_rule, lacking_z, parse_z_rule, preview_layout, settle
from imaging.reading import UnreadableImage, inspect, read_plane
from imaging.reading.projections import projection_uri, slices_of
from imaging.wells import WellPosition


def stack(*zs: int | None, folder: str = "/p", channel: str = "w1") -> list[PlaneSource]:
    """Planes of one field."""
    return [PlaneSource(f"{folder}/z{z}_{channel}.tif", "P", WellPosition(1, 1), 1, channel, z=z) for z in zs]


def pages(path: Path, *planes: np.ndarray, **options: object) -> PlaneSource:
    """A TIFF of these pages, and its plane."""
    tifffile.imwrite(path, np.stack(planes), photometric="minisblack", **options)
    return PlaneSource(str(path), "P", WellPosition(1, 1), 1, "w1")


def flat(value: int, shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    """A plane of one value."""
    return np.full(shape, value, np.uint16)


@pytest.mark.parametrize(
    ("rule", "zs", "chosen"),
    [
        ("middle", (None, 1, 2), None),
        ("middle", (1, 2, 3), 2),
        ("first", (None, 4, 2), 2),
        ("first", (None,), None),
        ("max projection", (None, 1, 2), None),
        ("max projection", (7,), 7),
        (3, (1, 2, 3, None), 3),
        (3, (None,), None),
    ],
)
def test_each_rule_chooses_its_plane(rule: ZRule, zs: tuple[int | None, ...], chosen: int | None) -> None:
    planes, n_left_out = choose_z(stack(*zs), rule)
    assert [plane.z for plane in planes] == [chosen]
    assert n_left_out == len(zs) - 1


def test_a_stack_without_the_z_is_named(tmp_path: Path) -> None:
    planes = stack(1, 2, 3) + stack(1, 2, channel="w2")
    assert [(plane.channel, plane.z) for plane in choose_z(planes, 3).planes] == [("w1", 3)]
    (lacking,) = lacking_z(planes, 3)
    assert (lacking.place.channel, lacking.reason) == ("w2", "of z 3 is not there; the stack has z 1, 2")
    with pytest.raises(ValueError, match="There is no z 9; z is 1 to 3"):
        choose_z(planes, 9)
    assert choose_z([], 9).planes == []


def test_a_maximum_of_files_is_one_plane_with_an_address(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    planes = stack(1, 2, 3, folder=str(tmp_path))
    pixels = [rng.integers(0, 4000, (5, 7)).astype(np.uint16) for _ in planes]
    for plane, one in zip(planes, pixels, strict=True):
        tifffile.imwrite(plane.uri, one)
    (chosen,), n_left_out = choose_z(planes, "max projection")
    assert (chosen.z, chosen.page, n_left_out) == (None, 0, 0)
    found = read_plane(chosen.uri, chosen.page)
    assert np.array_equal(found.pixels, np.max(pixels, axis=0))
    assert found.size_bytes == sum(Path(plane.uri).stat().st_size for plane in planes)
    facts = inspect(chosen.uri)
    assert (facts.width, facts.height, facts.bit_depth, facts.size_bytes) == (7, 5, 16, found.size_bytes)
    assert choose_z(planes[::-1], "max projection").planes[0].uri == chosen.uri


def test_a_maximum_names_the_slice_that_cannot_be_read(tmp_path: Path) -> None:
    planes = stack(1, 2, folder=str(tmp_path))
    tifffile.imwrite(planes[0].uri, flat(1))
    (chosen,), _ = choose_z(planes, "max projection")
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match=r"needs z2_w1.tif, which is not there") as error:
            read(chosen.uri)
        assert error.value.uri == chosen.uri
    tifffile.imwrite(planes[1].uri, flat(1, (5, 8)))
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage, match="slices of different sizes"):
            read(chosen.uri)


def test_a_maximum_of_floating_point_slices_is_converted_once(tmp_path: Path) -> None:
    """Slice by slice the dark one would be stretched to the bright one's range."""
    planes = stack(1, 2, folder=str(tmp_path))
    tifffile.imwrite(planes[0].uri, np.full((5, 7), 0.25, np.float32))
    tifffile.imwrite(planes[1].uri, np.full((5, 7), 100_000.0, np.float32))
    found = read_plane(choose_z(planes, "max projection").planes[0].uri)
    assert np.unique(found.pixels).tolist() == [6250]
    assert found.scaling == "divided by 16"


@pytest.mark.parametrize(("rule", "page", "value"), [("middle", 1, 20), ("first", 0, 10), (3, 2, 30)])
def test_the_pages_of_a_file_are_z(tmp_path: Path, rule: ZRule, page: int, value: int) -> None:
    plane = pages(tmp_path / "s.tif", flat(10), flat(20), flat(30), flat(5))
    settled = settle(plane, inspect(plane.uri), rule)
    assert (settled.page, settled.z) == (page, page + 1)
    assert read_plane(settled.uri, settled.page).pixels[0, 0] == value


def test_the_maximum_of_the_pages_of_a_file(tmp_path: Path) -> None:
    plane = pages(tmp_path / "s.tif", flat(10), flat(30), flat(20))
    settled = settle(plane, inspect(plane.uri), "max projection")
    assert settled.uri == f"max:{tmp_path}/s.tif{{@0-2}}"
    assert (settled.z, settled.page) == (None, 0)
    assert read_plane(settled.uri).pixels[0, 0] == 30


def test_a_page_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    plane = pages(tmp_path / "s.tif", flat(10), flat(30))
    with pytest.raises(UnreadableImage, match="has 2 z planes; z 5 is not there"):
        settle(plane, inspect(plane.uri), 5)


def test_one_page_and_smaller_copies_stay_as_they_are(tmp_path: Path) -> None:
    one = PlaneSource(str(tmp_path / "one.tif"), "P", WellPosition(1, 1), 1, "w1")
    tifffile.imwrite(one.uri, flat(1))
    assert settle(one, inspect(one.uri)) is one
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(flat(1, (64, 64)), photometric="minisblack")
        writer.write(flat(1, (16, 16)), photometric="minisblack", subfiletype=1)
    Path(one.uri).write_bytes(stream.getvalue())
    assert inspect(one.uri).n_pages == 2
    assert settle(one, inspect(one.uri)) is one


@pytest.mark.parametrize(
    ("axes", "expected"), [("CYX", "holds 3 channels in one file"), ("TYX", "holds 3 timepoints in one file")]
)
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_are_not_taken_for_z(tmp_path: Path, axes: str, expected: str, kind: str) -> None:
    plane = pages(tmp_path / "s.tif", flat(1), flat(2), flat(3), metadata={"axes": axes}, **{kind: True})
    with pytest.raises(UnreadableImage, match=expected):
        settle(plane, inspect(plane.uri))


# Rules as text, addresses as text


def test_rules_are_read_from_a_form() -> None:
    assert [parse_z_rule(text) for text in ("middle", " First ", "max projection", "3", "z 12")] == [
        "middle",
        "first",
        "max projection",
        3,
        12,
    ]
    for text in ("", "top", "-1", "²"):
        with pytest.raises(ValueError, match="is no rule for z"):
            parse_z_rule(text)
    assert explain_rule(3) == "z plane 3"
    assert "maximum" in explain_rule("max projection")


def test_an_address_is_short_and_can_be_read_by_a_person() -> None:
    files = [(f"s3://b/TimePoint_1/ZStep_{z}/P_B02_s1_w1.TIF", 0) for z in (1, 2, 3)]
    assert projection_uri(files) == "max:s3://b/TimePoint_1/ZStep_{1,2,3}/P_B02_s1_w1.TIF"
    assert projection_uri([("/p/a.tif", page) for page in (0, 1, 2, 5)]) == "max:/p/a.tif{@0-2,@5}"
    assert projection_uri([("/p/a.tif", 0)]) == "max:/p/a.tif{}"
    with pytest.raises(ValueError, match="at least one"):
        projection_uri([])


@given(
    st.lists(
        st.tuples(st.text("ab{},@%-01/é", min_size=1, max_size=8), st.integers(0, 30)),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_an_address_names_exactly_its_slices(slices: list[tuple[str, int]]) -> None:
    """In an order that keeps the slices of one file together."""
    assert sorted(slices_of(projection_uri(slices))) == sorted(slices)


@pytest.mark.parametrize(
    "uri", ["max:", "max:/p/a.tif", "max:{a}{b}", "max:/p/{@x}", "max:/p/a{@0-999999}", "max:/p/a{@5-1}"]
)
def test_an_address_that_makes_no_sense_is_a_reason(uri: str) -> None:
    for read in (inspect, read_plane):
        with pytest.raises(UnreadableImage):
            read(uri)


# Previews


def test_a_preview_shows_the_first_files_and_why_others_are_refused(tmp_path: Path) -> None:
    for site in range(1, 30):
        (tmp_path / f"P_B02_s{site}_w1.tif").touch()
    (tmp_path / "overview.tif").touch()
    preview = preview_layout(str(tmp_path), most=5)
    assert preview.n_images == 30
    assert [(row.file, row.well, row.site, row.channel) for row in preview.rows[:4]] == [
        (f"P_B02_s{site}_w1.tif", "B02", site, "w1") for site in (1, 2, 3, 4)
    ]
    assert preview.rows[4].file == "overview.tif"
    assert preview.rows[4].reason.startswith("overview.tif: its name does not follow")
    assert preview.explanation.startswith("29 of 30 files are named like ImageXpress (MetaXpress), such as")
    assert "Read as ImageXpress" in preview.explanation


def test_a_preview_of_names_nobody_knows_shows_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.tif").touch()
    preview = preview_layout(str(tmp_path))
    assert preview.layout is None
    assert [row.reason for row in preview.rows] == ["x.tif follows no known layout."]
    assert "Known are:" in preview.explanation


def test_a_preview_can_be_given_the_layout_and_the_plate(tmp_path: Path) -> None:
    (tmp_path / "B02-DAPI.tif").touch()
    preview = preview_layout(str(tmp_path), r"(?P<well>[A-P]\d\d)-(?P<channel>\w+)\.tif", plate="X")
    assert [(row.plate, row.well, row.channel) for row in preview.rows] == [("X", "B02", "DAPI")]
    assert preview_layout(str(tmp_path), "sbs").rows[0].reason
    with pytest.raises(ValueError, match="no layout 'nope'"):
        preview_layout(str(tmp_path), "nope")
