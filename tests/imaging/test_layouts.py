"""Layouts: names of files to planes of plates."""

import contextlib
import os
import re
import time
from pathlib import Path

import fsspec
import pytest

from imaging import layouts
from imaging.layouts import (
    LAYOUTS,
    Layout,
    PlaneSource,
    SourceError,
    Understood,
    choose_z,
    custom_layout,
    guess_layout,
    list_files,
    list_source,
    read_layout,
)
from imaging.layouts.sources import read_listing
from imaging.wells import WellPosition, parse_well

GUID = "EADF08BD-3BFB-44F3-8214-24B191F3D15C"


def folder_of(root: Path, *names: str) -> str:
    """A folder with files of these names; what is in them does not matter here."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return str(root)


def only_plane(understood: Understood) -> PlaneSource:
    """The plane of a source of one file, nothing refused."""
    assert understood.refused == []
    (plane,) = understood.planes
    return plane


# Names


@pytest.mark.parametrize(
    ("name", "layout", "plate", "well", "site", "channel"),
    [
        ("Channel1-01-A-01.tif", "sbs", "P1", "A01", 1, "Channel1"),
        ("Channel2-96-H-12.TIF", "sbs", "P1", "H12", 1, "Channel2"),
        ("AS_09047_050428030001_O15f01d2.TIF", "arrayscan", "050428030001", "O15", 1, "d2"),
        ("AS_09047_050428030001_O15f00d2.TIF", "arrayscan", "050428030001", "O15", 0, "d2"),
        ("B7_01_1_3_DAPI_001.tif", "well-plate-channel-site", "01", "B07", 3, "DAPI"),
        ("H12_P2_4_25_CY5_001.tif", "well-plate-channel-site", "P2", "H12", 25, "CY5"),
        (f"1well-3C-2S_C07_s2_w1{GUID}.tif", "imagexpress", "1well-3C-2S", "C07", 2, "w1"),
        ("Plate1_B02_s3_DAPI.tif", "plain", "Plate1", "B02", 3, "DAPI"),
        ("B02_f03_Alexa 488.png", "plain", "P1", "B02", 3, "Alexa 488"),
        ("b2 1 GFP.jpeg", "plain", "P1", "B02", 1, "GFP"),
        # A GUID that begins with a digit does not lengthen the channel's number.
        (f"plate_C07_s1_w29{GUID[1:]}.tif", "imagexpress", "plate", "C07", 1, "w2"),
        ("9987_B02_w3.TIF", "imagexpress", "9987", "B02", 1, "w3"),
        ("my_plate, n° 2_AA12_s3_w1.tif", "imagexpress", "my_plate, n° 2", "AA12", 3, "w1"),
    ],
)
def test_a_name_is_guessed_and_read(
    tmp_path: Path, name: str, layout: str, plate: str, well: str, site: int, channel: str
) -> None:
    understood = read_layout(folder_of(tmp_path / "P1", name))
    assert understood.layout is LAYOUTS[layout]
    expected = PlaneSource(str(tmp_path / "P1" / name), plate, parse_well(well), site, channel)
    assert only_plane(understood) == expected


BY_NAME = {name: layout for name, layout in LAYOUTS.items() if layout.count is None}


@pytest.mark.parametrize("layout", BY_NAME.values(), ids=BY_NAME)
def test_each_layout_understands_its_own_example_and_no_other_does(layout: Layout) -> None:
    assert guess_layout([f"/plate/{layout.example}"]).layout is layout
    assert [other.name for other in LAYOUTS.values() if other.find(layout.example)] == [layout.name]


def test_folders_give_time_and_z_and_no_plate(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "TimePoint_2/ZStep_3/P_B02_s1_w1.tif")
    plane = only_plane(read_layout(source))
    assert (plane.timepoint, plane.z, plane.plate) == (2, 3, "P")


def test_the_projection_folder_of_imagexpress_has_no_z(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "TimePoint_1/ZStep_0/P_B02_s1_w1.tif", "TimePoint_1/ZStep_1/P_B02_s1_w1.tif")
    assert [plane.z for plane in read_layout(source).planes] == [None, 1]


def test_thumbnails_are_ignored_not_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "P_B02_s1_w1.tif", "P_B02_s1_w1_thumb.tif", f"P_B02_s1_w1_thumb{GUID}.tif")
    understood = read_layout(source)
    assert len(understood.planes) == 1
    assert understood.refused == []
    assert understood.n_ignored == 2


def test_thumbnails_do_not_win_the_guess() -> None:
    assert guess_layout(["/p/P_B02_s1_w1_thumb.tif"]).layout is None
    assert guess_layout(["/p/P_thumb_B02_s1_w1.tif"]).layout is LAYOUTS["imagexpress"]


def test_what_a_layout_skips_does_not_count_in_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = Layout("greedy", "Any", "All.", "x.tif", re.compile("."), skip=re.compile("^Q"))
    monkeypatch.setitem(LAYOUTS, "greedy", greedy)
    assert guess_layout(["/p/a.tif", "/p/Q.tif"]).matched == 1


def test_the_timepoint_of_a_name_is_kept(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "B7_01_1_3_DAPI_001.tif", "B7_01_1_3_DAPI_002.tif")
    assert [plane.timepoint for plane in read_layout(source).planes] == [1, 2]


# Plates


def test_the_plate_is_the_nearest_folder_that_may_be_one(tmp_path: Path) -> None:
    source = folder_of(
        tmp_path,
        "BR001/Images/Channel1-01-A-01.tif",
        "BR002/Channel1-01-A-01.tif",
        "raw/Channel1-02-A-02.tif",
    )
    assert [plane.plate for plane in read_layout(source).planes] == ["BR001", "BR002", tmp_path.name]


def test_a_given_barcode_is_the_plate(tmp_path: Path) -> None:
    assert only_plane(read_layout(folder_of(tmp_path / "a", "Channel1-01-A-01.tif"), plate=" X1 ")).plate == "X1"
    assert only_plane(read_layout(folder_of(tmp_path / "b", "B7_01_1_3_DAPI_001.tif"), plate="X1")).plate == "X1"


def test_one_barcode_for_names_of_several_plates_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "P1_B02_s1_w1.tif", "P2_B02_s1_w1.tif")
    with pytest.raises(SourceError, match=r"2 plates \(P1, P2\)"):
        read_layout(source, plate="X1")
    assert {plane.plate for plane in read_layout(source).planes} == {"P1", "P2"}


def test_accents_composed_by_two_file_systems_are_one_plate(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "e\u0301_B02_s1_w1.tif", "\u00e9_B02_s1_w2.tif")
    assert {plane.plate for plane in read_layout(source).planes} == {"\u00e9"}


# Channels


def test_channels_are_in_the_microscopes_order(tmp_path: Path) -> None:
    names = ["B7_01_2_1_CY5_001.tif", "B7_01_10_1_AGP_001.tif", "B8_01_1_1_DAPI_001.tif"]
    understood = read_layout(folder_of(tmp_path, *names))
    assert understood.channels == ["DAPI", "CY5", "AGP"]
    assert [plane.channel for plane in understood.planes] == understood.channels


def test_channels_without_numbers_are_in_natural_order(tmp_path: Path) -> None:
    names = [f"P_B02_s1_w{n}.tif" for n in (10, 2, 1)]
    assert read_layout(folder_of(tmp_path, *names)).channels == ["w1", "w2", "w10"]


# Refusals


def test_a_name_that_is_not_understood_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    understood = read_layout(folder_of(tmp_path, "P_B02_s1_w1.tif", "overview.tif"))
    (refused,) = understood.refused
    assert refused.uri == str(tmp_path / "overview.tif")
    assert refused.reason.startswith(
        "overview.tif: its name does not follow the layout imagexpress; expected one such as"
    )
    assert LAYOUTS["imagexpress"].example in refused.reason


def test_a_well_on_no_plate_is_refused(tmp_path: Path) -> None:
    understood = read_layout(folder_of(tmp_path, "P_B02_s1_w1.tif", "P_ZZ02_s1_w1.tif"))
    assert understood.refused[0].reason.startswith("P_ZZ02_s1_w1.tif: Row ZZ is on no plate")


def test_a_second_file_for_the_same_place_is_refused_naming_the_first(tmp_path: Path) -> None:
    understood = read_layout(folder_of(tmp_path, "a/P_B02_s1_w1.tif", "b/P_B02_s1_w1.tif"))
    assert only_first(understood).uri == str(tmp_path / "a/P_B02_s1_w1.tif")
    (refused,) = understood.refused
    assert refused.uri == str(tmp_path / "b/P_B02_s1_w1.tif")
    assert "a/P_B02_s1_w1.tif is already the image of plate P, well B02, site 1, channel w1" in refused.reason


def only_first(understood: Understood) -> PlaneSource:
    """The one plane that was kept."""
    (plane,) = understood.planes
    return plane


def test_names_no_layout_knows_are_all_refused_with_examples(tmp_path: Path) -> None:
    understood = read_layout(folder_of(tmp_path, "cells.tif", "more cells.png"))
    assert understood.layout is None
    assert understood.planes == []
    assert len(understood.refused) == 2
    assert "cells.tif" in understood.explanation
    assert LAYOUTS["sbs"].example in understood.explanation


def test_a_name_that_is_no_text_is_refused_in_words_that_can_be_stored(tmp_path: Path) -> None:
    folder_of(tmp_path, "P_B02_s1_w1.tif")
    try:
        open(os.fsencode(tmp_path) + b"/P\xe9_B02_s1_w2.tif", "wb").close()
    except OSError:
        pytest.skip("this file system takes no such names")
    (refused,) = read_layout(str(tmp_path)).refused
    assert "rename it" in refused.reason
    assert (refused.uri + refused.reason).encode("utf-8")


def test_an_unknown_layout_is_a_value_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no layout 'incell'.*sbs"):
        read_layout(folder_of(tmp_path, "a.tif"), layout="incell")


def test_a_named_layout_is_not_guessed(tmp_path: Path) -> None:
    understood = read_layout(folder_of(tmp_path, "Channel1-01-A-01.tif"), layout="imagexpress")
    assert understood.planes == []
    assert len(understood.refused) == 1


def test_the_explanation_counts_what_there_is(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "P_B02_s1_w1.tif", "P_B03_s1_w2.tif", "x.tif", "P.HTD", "._P_B02_s1_w1.tif")
    text = read_layout(source).explanation
    assert "2 image files of 1 plate, 2 wells, 2 channels (w1, w2)" in text
    assert "1 image file refused." in text
    assert "2 other files (" in text
    assert "1 .htd" in text


# Guessing


def test_the_layout_that_understands_most_files_wins() -> None:
    guess = guess_layout(["/p/Channel1-01-A-01.tif", "/p/Channel1-02-A-02.tif", "/p/P_B02_s1_w1.tif", "/p/x.tif"])
    assert (guess.layout, guess.matched, guess.total) == (LAYOUTS["sbs"], 2, 4)
    assert "2 of 4 files" in guess.explanation


def test_a_tie_goes_to_the_first_layout_whatever_the_order_of_files() -> None:
    names = ["/p/Channel1-01-A-01.tif", "/p/P_B02_s1_w1.tif"]
    first = next(iter(LAYOUTS.values()))
    assert guess_layout(names).layout is guess_layout(names[::-1]).layout is first


def test_no_files_have_no_layout() -> None:
    assert guess_layout([]).layout is None


# Custom patterns


def test_a_users_pattern_reads_what_it_names(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "2024_B-07_f3_t2_z5_GFP.tif")
    pattern = (
        r"(?P<plate>\d+)_(?P<row>[A-P])-(?P<column>\d+)_f(?P<site>\d+)"
        r"_t(?P<timepoint>\d+)_z(?P<z>\d+)_(?P<channel>\w+)\.tif"
    )
    plane = only_plane(read_layout(source, layout=custom_layout(pattern)))
    assert (plane.plate, plane.well, plane.site, plane.channel) == ("2024", WellPosition(2, 7), 3, "GFP")
    assert (plane.timepoint, plane.z) == (2, 5)


def test_a_pattern_may_be_given_as_text_and_with_capital_names(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "B07-DAPI.tif")
    plane = only_plane(read_layout(source, layout=r"^(?P<Well>[A-P]\d+)-(?P<Channel>\w+)"))
    assert (plane.well, plane.channel, plane.site, plane.timepoint, plane.z) == ((2, 7), "DAPI", 1, 1, None)


def test_a_pattern_with_a_slash_reads_folders(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "BR1/B07/f2_DAPI.tif")
    pattern = r"(?P<plate>[^/]+)/(?P<well>[A-P]\d+)/f(?P<site>\d+)_(?P<channel>\w+)\.tif$"
    plane = only_plane(read_layout(source, layout=custom_layout(pattern)))
    assert (plane.plate, plane.well.name, plane.site) == ("BR1", "B07", 2)


def test_a_slash_pattern_is_guessed_at_nothing_above_the_source(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "A01", "x_DAPI.tif")
    understood = read_layout(source, layout=r"/(?P<well>[A-P]\d+)/.*_(?P<channel>\w+)\.tif")
    assert len(understood.refused) == 1


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "is empty"),
        (r"(?P<well>[A-P]\d+", "not a valid regular expression"),
        (r"(?P<well>[A-P]\d+)", "no group 'channel'"),
        (r"(?P<channel>w\d)", "no group 'well'"),
        (r"(?P<row>[A-P])(?P<channel>w\d)", "no group 'well', and no 'column'"),
        (r"(?P<well>..)(?P<row>.)(?P<column>.)(?P<channel>.)", "keep one of the two ways"),
        (r"(?P<well>..)(?P<chanel>.)", "Did you mean 'channel'"),
        (r"(?P<well>..)(?P<channel>.)(?P<dye>.)", "group 'dye' that cellqc does not know"),
        (r"(?<well>..)(?P<channel>.)", r"write \(\?P<name>"),
        (r"(?P<well>..)(?P<Well>..)(?P<channel>.)", "not a valid regular expression"),
    ],
)
def test_a_wrong_pattern_says_which_group_is_wrong(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        custom_layout(pattern)


def test_a_look_behind_is_not_taken_for_a_group() -> None:
    assert custom_layout(r"(?<=_)(?<!x)(?P<well>[A-P]\d\d)_(?P<channel>\w+)").find("P_B07_w1.tif")


@pytest.mark.parametrize("site", ["s1", "1.5", "٣"])
def test_a_group_that_is_no_number_is_refused_by_name(tmp_path: Path, site: str) -> None:
    source = folder_of(tmp_path, f"B07 {site} w1.tif")
    understood = read_layout(source, layout=r"(?P<well>\w+) (?P<site>\S+) (?P<channel>w\d)")
    assert "its site is" in understood.refused[0].reason


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<well>[A-P]\d\d)(?P<channel>(?:a|aa)+)!",
        r"(?P<well>[A-P]\d\d)(?P<channel>(\w+)*)\d!x?$",
        r"(?P<well>[A-P]\d\d)(?P<channel>(a*)*b(a*)*c)",
    ],
)
def test_a_pattern_that_goes_back_and_forth_for_ever_is_stopped(tmp_path: Path, pattern: str) -> None:
    source = folder_of(tmp_path, *(f"B{n:02d}{'a' * 200}.tif" for n in range(1, 9)))
    start = time.perf_counter()
    with contextlib.suppress(SourceError):
        read_layout(source, layout=pattern)
    assert time.perf_counter() - start < 5


def test_a_stopped_pattern_says_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = custom_layout(r"(?P<well>[A-P]\d\d)(?P<channel>(?:a|aa)+)!")
    monkeypatch.setattr("imaging.layouts.names.PATTERN_SECONDS", 0.05)
    with pytest.raises(SourceError, match="takes too long on"):
        layout.find("B07" + "a" * 200 + ".tif")


def test_a_pattern_longer_than_a_person_writes_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1,030 letters"):
        custom_layout("(?P<well>..)(?P<channel>.)" + "x" * 1004)


# Listing


def test_jpegs_are_images_only_where_nothing_better_is(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "P_B02_s1_w1.jpg", "P_B02_s1_w2.JPEG")
    assert read_layout(source).channels == ["w1", "w2"]
    folder_of(tmp_path, "P_B02_s1_w1.tif")
    understood = read_layout(source)
    assert [plane.uri[-4:] for plane in understood.planes] == [".tif"]
    assert (understood.refused, understood.n_ignored) == ([], 2)


def test_a_folder_of_a_vendors_files_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is a Zeiss file \(\.czi\).*'cellqc\[bioio\]' and 'bioio-czi'"):
        list_files(folder_of(tmp_path, "plate.czi"))


def test_names_of_a_large_experiment_are_read_in_seconds(tmp_path: Path) -> None:
    names = [
        f"/p/P{plate}_{WellPosition(row, column).name}_s{site}_w{channel}.tif"
        for plate in range(2)
        for row in range(1, 17)
        for column in range(1, 25)
        for site in range(1, 10)
        for channel in range(1, 6)
    ]
    start = time.perf_counter()
    understood = read_listing(layouts.Listing("/p", names, []))
    assert len(understood.planes) == len(names) == 34_560
    assert time.perf_counter() - start < 10


def test_files_are_in_natural_order_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path / "plate", "b10.tif", "b9.tif", "B9.png", "a/z.tiff")
    names = [os.path.relpath(path, source) for path in list_files(source)]
    assert names == ["a/z.tiff", "B9.png", "b9.tif", "b10.tif"]
    monkeypatch.chdir(tmp_path)
    assert list_files("plate") == list_files(source) == list_files(f"file://{source}")


def test_hidden_system_and_other_files_are_listed_apart(tmp_path: Path) -> None:
    others = ["._a.tif", ".hidden.tif", "Thumbs.db", "x.HTD", ".snap/a.tif", "__MACOSX/a.tif", "a.tif.tmp"]
    source = folder_of(tmp_path, "a b,c é.tif", *others)
    listing = list_source(source)
    assert listing.images == [str(tmp_path / "a b,c é.tif")]
    assert sorted(os.path.relpath(path, source) for path in listing.ignored) == sorted(others)


def test_a_hidden_folder_above_the_source_hides_nothing(tmp_path: Path) -> None:
    assert len(list_files(folder_of(tmp_path / ".cache" / "plate", "a.tif"))) == 1


def test_a_link_that_makes_a_loop_ends(tmp_path: Path) -> None:
    source = folder_of(tmp_path, "a/x.tif")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert list_files(source) == [str(tmp_path / "a/x.tif")]


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    folder_of(tmp_path / "store", "x.tif")
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "P1").symlink_to(tmp_path / "store")
    assert list_files(str(tmp_path / "plate")) == [str(tmp_path / "plate/P1/x.tif")]


def test_sources_that_cannot_be_taken_say_why(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no folder"):
        list_files(str(tmp_path / "gone"))
    with pytest.raises(SourceError, match=r"is empty\."):
        list_files(str(tmp_path))
    folder_of(tmp_path, "a.csv", "b.csv")
    with pytest.raises(SourceError, match=r"holds no image files .* 2 other files \(2 \.csv\)"):
        list_files(str(tmp_path))
    with pytest.raises(SourceError, match="is a file; give the folder"):
        list_files(str(tmp_path / "a.csv"))


def test_a_folder_that_may_not_be_read_is_an_error_not_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path, "a.tif", "locked/b.tif")
    real_scandir = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match=r"locked may not be read by this account"):
        list_files(source)


def test_other_storage_is_listed_through_fsspec() -> None:
    storage = fsspec.filesystem("memory")
    for name in ("P_B02_s1_w10.tif", "P_B02_s1_w2.tif", "notes.txt"):
        storage.pipe_file(f"/bucket/plate 1/{name}", b"x")
    names = [uri.rsplit("/", 1)[-1] for uri in list_files("memory://bucket")]
    assert names == ["P_B02_s1_w2.tif", "P_B02_s1_w10.tif"]
    assert all(fsspec.open(uri).fs.exists(uri) for uri in list_files("memory://bucket"))
    understood = read_layout("memory://bucket")
    assert [plane.channel for plane in understood.planes] == ["w2", "w10"]
    assert understood.n_ignored == 1


def test_other_storage_that_cannot_be_taken_says_why() -> None:
    fsspec.filesystem("memory").pipe_file("/errors/a.tif", b"x")
    with pytest.raises(SourceError, match="nothing at memory://gone"):
        list_files("memory://gone")
    with pytest.raises(SourceError, match="is a file"):
        list_files("memory://errors/a.tif")
    with pytest.raises(SourceError, match="no driver for nosuch://"):
        list_files("nosuch://bucket")


# Z


def z_planes(channel: str, *zs: int | None) -> list[PlaneSource]:
    """Planes of one field."""
    return [PlaneSource(f"/{channel}{z}.tif", "P", WellPosition(1, 1), 1, channel, z=z) for z in zs]


@pytest.mark.parametrize(
    ("zs", "chosen"),
    [
        ((None,), None),
        ((1,), 1),
        ((3, 1, 2), 2),
        ((1, 2, 3, 4), 2),
        ((0, 1, 2), 1),
        ((1, None, 2), None),
        ((2, 9, 4), 4),
    ],
)
def test_the_projection_is_chosen_else_the_middle_plane(zs: tuple[int | None, ...], chosen: int | None) -> None:
    planes, n_left_out = choose_z(z_planes("w1", *zs))
    assert [plane.z for plane in planes] == [chosen]
    assert n_left_out == len(zs) - 1


def test_each_channel_and_field_is_chosen_by_itself() -> None:
    planes, n_left_out = choose_z(z_planes("w1", 1, 2, 3) + z_planes("w2", None, 1) + z_planes("w3", 1))
    assert [(plane.channel, plane.z) for plane in planes] == [("w1", 2), ("w2", None), ("w3", 1)]
    assert n_left_out == 3


# A layout is added, nothing else changed


def test_a_new_layout_with_an_index_needs_only_its_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_index(listing: layouts.Listing, plate: str | None) -> layouts.Names:
        assert any(path.endswith("Index.xml") for path in listing.ignored)
        well = WellPosition(3, 3)
        planes = [PlaneSource(uri, plate or "from index", well, 1, "DAPI") for uri in listing.images]
        return layouts.Names(planes, [], [], {}, set())

    pattern = LAYOUTS["sbs"].pattern
    new = Layout("indexed", "Indexed", "With an index.", "x.tif", pattern, read_source=from_index)
    monkeypatch.setitem(LAYOUTS, "indexed", new)
    source = folder_of(tmp_path, "r03c03.tif", "Index.xml")
    assert only_plane(read_layout(source, layout="indexed")).plate == "from index"
    assert only_plane(read_layout(source, layout="indexed", plate="X")).plate == "X"


# Real plates


@pytest.mark.parametrize(
    ("folder", "layout", "n_planes", "n_wells", "channels"),
    [
        ("sbs-96well-2ch", "sbs", 192, 96, ["Channel1", "Channel2"]),
        ("row-o-384well", "arrayscan", 72, 24, ["d2"]),
        ("cellpainting-16bit-3ch", "well-plate-channel-site", 15, 5, ["DAPI", "GFP", "RFP"]),
        ("layouts/imagexpress-1well-3ch-2site-zmix-t", "imagexpress", 12, 1, ["w1", "w2", "w3"]),
        ("layouts/imagexpress-exported-9987", "imagexpress", 36, 2, ["DAPI", "FITC", "Texas Red"]),
        ("layouts/cv8000", "yokogawa", 96, 3, ["BP445/45", "BP525/50"]),
        ("layouts/operetta-phenix", "opera", 2, 1, ["Fluorescein (FITC)"]),
    ],
)
def test_real_folders_are_understood(
    shared: Path, folder: str, layout: str, n_planes: int, n_wells: int, channels: list[str]
) -> None:
    understood = read_layout(str(shared / "data" / folder))
    assert understood.layout is LAYOUTS[layout]
    assert understood.refused == []
    assert len(understood.planes) == n_planes
    assert len({plane.well for plane in understood.planes}) == n_wells
    assert understood.channels == channels


def test_the_projections_of_the_exported_plate_are_chosen(shared: Path) -> None:
    understood = read_layout(str(shared / "data" / "layouts" / "imagexpress-exported-9987"))
    planes, n_left_out = choose_z(understood.planes)
    assert {plane.z for plane in planes} == {None}
    assert (len(planes), n_left_out) == (12, 24)


def test_the_time_points_of_the_acquired_plate_are_kept(shared: Path) -> None:
    understood = read_layout(str(shared / "data" / "layouts" / "imagexpress-1well-3ch-2site-zmix-t"))
    assert {plane.timepoint for plane in understood.planes} == {1, 2}
    assert {plane.plate for plane in understood.planes} == {"1well-3C-2S-Zmix-T"}
