"""OME-TIFF and OME-Zarr: several channels and z planes behind one address."""

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile
import zarr

from imaging.layouts import LAYOUTS, SourceError, choose_z, list_source, preview_layout, read_layout
from imaging.reading import UnreadableImage, inspect, read_pixels, read_plane

N_T, N_C, N_Z, H, W = 1, 2, 3, 6, 8
STACK = np.arange(N_T * N_C * N_Z * H * W, dtype=np.uint16).reshape(N_T, N_C, N_Z, H, W)


def ome_tiff(path: Path, pixels: np.ndarray = STACK, axes: str = "TCZYX", **metadata: object) -> None:
    """An OME-TIFF as tifffile writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})


def with_xml(path: Path, xml: str, pixels: np.ndarray) -> None:
    """A TIFF of these pages whose first page has this description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack", description=xml.encode(), metadata=None)


def ome(images: str, plate: str = "", namespace: str = "http://www.openmicroscopy.org/Schemas/OME/2016-06") -> str:
    """An OME-XML."""
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{namespace}">{plate}{images}</OME>'


def image(number: int, data: str, sizes: tuple[int, int, int] = (2, 1, 1), order: str = "XYCZT") -> str:
    """An Image element with channels DAPI, GFP."""
    c, z, t = sizes
    names = "".join(f'<Channel ID="Channel:{number}:{n}" Name="{name}"/>' for n, name in enumerate(["DAPI", "GFP"][:c]))
    return (
        f'<Image ID="Image:{number}"><Pixels DimensionOrder="{order}" SizeC="{c}" SizeZ="{z}" SizeT="{t}" '
        f'SizeX="{W}" SizeY="{H}" Type="uint16">{names}{data}</Pixels></Image>'
    )


PLATE = (
    '<Plate ID="Plate:0" Name="BR1"><Well ID="Well:0" Row="1" Column="6">'
    '<WellSample ID="WellSample:0" Index="0"><ImageRef ID="Image:0"/></WellSample>'
    '<WellSample ID="WellSample:1" Index="1"><ImageRef ID="Image:1"/></WellSample></Well></Plate>'
)


def test_each_channel_and_z_of_an_ome_tiff_is_a_plane(tmp_path: Path) -> None:
    names = {"Channel": {"Name": ["DAPI", "GFP"]}}
    for site in (1, 2):
        ome_tiff(tmp_path / "BR1" / f"BR1_B07_s{site}.ome.tif", **names)
    understood = read_layout(str(tmp_path))
    assert understood.layout is LAYOUTS["ome-tiff"]
    assert understood.refused == []
    assert understood.channels == ["DAPI", "GFP"]
    assert {(p.plate, p.well.name, p.site, p.channel, p.timepoint, p.z) for p in understood.planes} == {
        ("BR1", "B07", site, channel, 1, z) for site in (1, 2) for channel in ("DAPI", "GFP") for z in (1, 2, 3)
    }
    for plane in understood.planes:
        expected = STACK[0, understood.channels.index(plane.channel), plane.z - 1]
        assert np.array_equal(read_plane(plane.uri, plane.page).pixels, expected)


@pytest.mark.parametrize(
    ("name", "plate", "well", "site", "timepoint"),
    [
        ("BR1_B07_s2.ome.tif", "BR1", "B07", 2, 1),
        ("P01_F03_s1_t2.ome.tif", "P01", "F03", 1, 2),
        ("P_F03_f01.ome.tif", "P", "F03", 1, 1),
        ("P_F03.ome.tiff", "P", "F03", 1, 1),
        ("B07f04.ome.tif", "folder", "B07", 4, 1),
        ("S01_site_3.ome.tif", "folder", "S01", 3, 1),
        ("b7.ome.tif", "folder", "B07", 1, 1),
    ],
)
def test_the_name_of_an_ome_tiff_gives_well_and_site(
    tmp_path: Path, name: str, plate: str, well: str, site: int, timepoint: int
) -> None:
    ome_tiff(tmp_path / "folder" / name)
    plane = read_layout(str(tmp_path)).planes[0]
    assert (plane.plate, plane.well.name, plane.site, plane.timepoint) == (plate, well, site, timepoint)


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT", "XYTCZ"])
def test_pages_are_counted_in_the_files_own_order(tmp_path: Path, order: str) -> None:
    data = '<TiffData IFD="0" PlaneCount="12"/>'
    with_xml(tmp_path / "P_A01.ome.tif", ome(image(0, data, (2, 3, 2), order)), np.zeros((12, H, W), np.uint16))
    planes = read_layout(str(tmp_path)).planes
    sizes = dict(zip("CZT", (2, 3, 2), strict=True))
    for plane in planes:
        index = {"C": ["DAPI", "GFP"].index(plane.channel), "Z": plane.z - 1, "T": plane.timepoint - 1}
        step, page = 1, 0
        for axis in order[2:]:
            page += index[axis] * step
            step *= sizes[axis]
        assert plane.page == page
    assert len({plane.page for plane in planes}) == 12


def test_the_plate_of_an_ome_xml_gives_wells_and_sites(tmp_path: Path) -> None:
    data = [f'<TiffData IFD="{first}" PlaneCount="2"/>' for first in (0, 2)]
    xml = ome(image(0, data[0]) + image(1, data[1]), PLATE)
    with_xml(tmp_path / "anything.ome.tif", xml, np.zeros((4, H, W), np.uint16))
    planes = read_layout(str(tmp_path)).planes
    assert {(p.plate, p.well.name, p.site, p.channel, p.page) for p in planes} == {
        ("BR1", "B07", 1, "DAPI", 0),
        ("BR1", "B07", 1, "GFP", 1),
        ("BR1", "B07", 2, "DAPI", 2),
        ("BR1", "B07", 2, "GFP", 3),
    }


def test_a_set_of_files_is_taken_file_by_file(tmp_path: Path) -> None:
    """Each file's XML describes all files of the set."""
    data = [
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="B07_c{c}.ome.tif">{c}</UUID></TiffData>'
        for c in (0, 1)
    ]
    for c in (0, 1):
        with_xml(tmp_path / f"B07_c{c}.ome.tif", ome(image(0, "".join(data)) + image(1, ""), PLATE), STACK[0, 0, 0])
    planes = [plane for plane in read_layout(str(tmp_path)).planes if plane.site == 1]
    assert {(plane.uri[-10:], plane.channel, plane.page) for plane in planes} == {
        ("c0.ome.tif", "DAPI", 0),
        ("c1.ome.tif", "GFP", 0),
    }


def test_a_companion_file_is_followed_but_only_beside_the_image(tmp_path: Path) -> None:
    binary = ome('<BinaryOnly MetadataFile="{}" UUID="urn:uuid:0"/>')
    data = '<TiffData IFD="0" PlaneCount="2"/>'
    (tmp_path / "set.companion.ome").write_text(ome(image(0, data)))
    with_xml(tmp_path / "P_B07_s1.ome.tif", binary.format("set.companion.ome"), STACK[0, :, 0])
    with_xml(tmp_path / "P_B07_s2.ome.tif", binary.format("../../../etc/hostname"), STACK[0, :, 0])
    understood = read_layout(str(tmp_path))
    assert {(p.site, p.channel) for p in understood.planes} == {(1, "DAPI"), (1, "GFP")}
    assert "is not there" in understood.refused[0].reason


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("no xml", "holds no OME-XML"),
        ("<OME>", "is damaged or cut short"),
        ('<!DOCTYPE OME [<!ENTITY a "b">]><OME>&a;</OME>', "DOCTYPE"),
        (ome(""), "describes none of its pages"),
        (ome(image(0, "", order="XYQQQ")), "makes no sense"),
        (ome(image(0, "", (10**6, 10**6, 1))), "more planes than a file can hold"),
        (ome(image(0, '<TiffData IFD="9"/>')), "describes none of its pages"),
    ],
)
def test_an_ome_xml_that_makes_no_sense_is_a_refused_file(tmp_path: Path, xml: str, expected: str) -> None:
    with_xml(tmp_path / "P_B07.ome.tif", xml, STACK[0, :, 0])
    (refused,) = read_layout(str(tmp_path)).refused
    assert refused.reason.startswith("P_B07.ome.tif")
    assert expected in refused.reason


def test_an_ome_tiff_that_is_nowhere_on_a_plate_is_refused(tmp_path: Path) -> None:
    ome_tiff(tmp_path / "cells.ome.tif")
    (tmp_path / "empty_B02.ome.tif").touch()
    reasons = [one.reason for one in read_layout(str(tmp_path)).refused]
    assert reasons[0] == "cells.ome.tif: its name has no well"
    assert reasons[1].startswith("empty_B02.ome.tif is empty") or reasons[1].startswith("empty_B02.ome.tif is damaged")


def test_a_preview_of_ome_tiffs_opens_only_the_first_files(tmp_path: Path) -> None:
    for site in range(1, 9):
        ome_tiff(tmp_path / f"P_B07_s{site}.ome.tif")
    preview = preview_layout(str(tmp_path), most=3)
    assert len(preview.rows) == 3
    assert "The first 3 of 8 files were looked at." in preview.explanation


# OME-Zarr


def zarr_plate(root: Path, version: int, shape: tuple[int, ...] = STACK.shape, name: str | None = "BR1") -> Path:
    """A plate of two wells with two fields, as OME-Zarr 0.4 (Zarr 2) or 0.5 (Zarr 3) lays it out."""
    folder = root / "plate.zarr"
    wells = [{"path": path, "rowIndex": 1, "columnIndex": column} for path, column in (("B/03", 2), ("B/04", 3))]
    plate = {"wells": wells, "rows": [{"name": "B"}], "columns": [{"name": "03"}, {"name": "04"}]}
    attributes(folder, version, {"plate": {**plate, **({"name": name} if name else {})}})
    axes = [{"name": letter, "type": "x"} for letter in "tczyx"[-len(shape) :]]
    for number, well in enumerate(wells):
        attributes(folder / well["path"], version, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for site in (0, 1):
            field = folder / well["path"] / str(site)
            scales = {"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}
            labels = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
            attributes(field, version, {"multiscales": [scales], "omero": labels})
            array = zarr.create_array(
                str(field / "0"), shape=shape, chunks=(*[1] * (len(shape) - 2), 4, 8), dtype="u2", zarr_format=version
            )
            array[...] = STACK.reshape(shape) + 1000 * number + 500 * site
    return folder


def attributes(folder: Path, version: int, meta: dict) -> None:
    """A group with OME metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(meta))
    else:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **meta}}}
        (folder / "zarr.json").write_text(json.dumps(group))


@pytest.mark.parametrize("version", [2, 3])
def test_an_ome_zarr_plate_gives_its_planes_and_their_pixels(tmp_path: Path, version: int) -> None:
    folder = zarr_plate(tmp_path, version)
    for source in (tmp_path, folder):
        understood = read_layout(str(source))
        assert understood.layout is LAYOUTS["ome-zarr"]
        assert understood.refused == []
        assert understood.channels == ["DAPI", "GFP"]
        assert {(p.plate, p.well.name, p.site, p.channel, p.timepoint, p.z) for p in understood.planes} == {
            ("BR1", well, site, channel, 1, z)
            for well in ("B03", "B04")
            for site in (0, 1)
            for channel in ("DAPI", "GFP")
            for z in (1, 2, 3)
        }
    for plane in understood.planes:
        expected = STACK[0, understood.channels.index(plane.channel), plane.z - 1]
        expected = expected + 1000 * (plane.well.column - 3) + 500 * plane.site
        found = read_plane(plane.uri, plane.page)
        assert np.array_equal(found.pixels, expected)
        assert np.array_equal(read_pixels(plane.uri, plane.page), expected)
        assert found.pixels.dtype == np.uint16
        facts = inspect(plane.uri, plane.page)
        assert (facts.width, facts.height, facts.bit_depth, facts.n_pages) == (W, H, 16, 6)


def test_a_maximum_over_the_slices_of_an_array(tmp_path: Path) -> None:
    zarr_plate(tmp_path, 2)
    planes, n_left_out = choose_z(read_layout(str(tmp_path)).planes, "max projection")
    assert (len(planes), n_left_out) == (8, 0)
    first = next(p for p in planes if (p.well.column, p.site, p.channel) == (3, 0, "GFP"))
    assert np.array_equal(read_plane(first.uri, first.page).pixels, STACK[0, 1].max(axis=0))
    assert np.array_equal(read_pixels(first.uri, first.page), STACK[0, 1].max(axis=0))
    assert inspect(first.uri).width == W


def test_the_hash_of_a_zarr_plane_is_that_of_its_own_numbers(tmp_path: Path) -> None:
    """The same pixels under another name, chunking or version are the same content."""
    one, other = zarr_plate(tmp_path / "a", 2), zarr_plate(tmp_path / "b", 3)
    hashes = {read_plane(f"{folder}/B/03/0/0#zarr", 4).sha256 for folder in (one, other)}
    assert len(hashes) == 1
    assert read_plane(f"{one}/B/03/0/0#zarr", 3).sha256 not in hashes


def test_a_plate_of_two_axes_without_a_name(tmp_path: Path) -> None:
    zarr_plate(tmp_path, 2, shape=(N_T * N_C * N_Z * H, W), name=None)
    planes = read_layout(str(tmp_path)).planes
    assert {(plane.plate, plane.channel, plane.z) for plane in planes} == {("plate", "DAPI", None)}


def test_a_lost_well_and_a_lost_field_are_refused_and_the_rest_is_taken(tmp_path: Path) -> None:
    folder = zarr_plate(tmp_path, 2)
    (folder / "B/03/.zattrs").unlink()
    (folder / "B/04/1/0/.zarray").unlink()
    understood = read_layout(str(tmp_path))
    assert {(plane.well.name, plane.site) for plane in understood.planes} == {("B04", 0)}
    assert [one.reason.split(" is not there")[0] for one in understood.refused] == [
        "Well B03 of plate BR1",
        "Well B04, site 1 of plate BR1",
    ]


def test_a_plate_in_a_bucket_is_read(tmp_path: Path) -> None:
    zarr_plate(tmp_path, 2)
    fsspec.filesystem("memory").put(str(tmp_path / "plate.zarr"), "/zarr-bucket/plate.zarr", recursive=True)
    for source in ("memory://zarr-bucket", "memory://zarr-bucket/plate.zarr"):
        planes = read_layout(source).planes
        assert len(planes) == 24
    assert np.array_equal(read_plane(planes[0].uri, planes[0].page).pixels, STACK[0, 0, 0])


def test_the_chunks_of_a_zarr_are_not_listed(tmp_path: Path) -> None:
    folder = zarr_plate(tmp_path, 2)
    (tmp_path / "x.tif").touch()
    listing = list_source(str(tmp_path))
    assert (listing.zarrs, listing.images, listing.ignored) == ([str(folder)], [str(tmp_path / "x.tif")], [])


def test_zarr_beside_images_that_win_is_refused_not_forgotten(tmp_path: Path) -> None:
    zarr_plate(tmp_path, 2)
    for site in (1, 2):
        (tmp_path / f"P_B02_s{site}_w1.tif").touch()
    understood = read_layout(str(tmp_path))
    assert understood.layout is LAYOUTS["imagexpress"]
    assert [one.reason for one in understood.refused] == [
        "plate.zarr is Zarr; choose the layout OME-Zarr plate to take it."
    ]


def test_a_zarr_that_is_no_plate_says_so(tmp_path: Path) -> None:
    attributes(tmp_path / "image.zarr", 2, {"multiscales": []})
    understood = read_layout(str(tmp_path))
    assert understood.layout is None
    (refused,) = read_layout(str(tmp_path), layout="ome-zarr").refused
    assert "is one OME-Zarr image, not an OME-Zarr plate" in refused.reason


@pytest.mark.parametrize("path", ["../../secret", "B/../..", "/etc", "s3://x/y", 7, ""])
def test_a_path_may_not_lead_out_of_the_plate(tmp_path: Path, path: object) -> None:
    attributes(tmp_path / "p.zarr", 2, {"plate": {"wells": [{"path": path, "rowIndex": 0, "columnIndex": 0}]}})
    understood = read_layout(str(tmp_path), layout="ome-zarr")
    assert understood.planes == []
    assert "makes no sense" in understood.refused[0].reason or "is not there" in understood.refused[0].reason


def array_with(tmp_path: Path, **changes: object) -> str:
    """The address of an array whose metadata says something else."""
    folder = zarr_plate(tmp_path, 2) / "B/03/0/0"
    meta = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps({**meta, **changes}))
    return f"{folder}#zarr"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"compressor": {"id": "pickle"}}, "is compressed as pickle"),
        ({"filters": [{"id": "json2"}]}, "is compressed as json2"),
        ({"dtype": "|O"}, "holds numbers of the kind"),
        ({"dtype": [["a", "<u2"]]}, "holds numbers of the kind"),
        ({"dtype": "<c8"}, "holds numbers of the kind"),
        ({"shape": [1, 2, 3, 10**6, 10**6]}, "claims 1000000 x 1000000 pixels"),
        ({"shape": [1, 2, 3, 0, 8]}, "has no pixels"),
        ({"chunks": [1, 2, 3, 20_000, 20_000]}, "has chunks larger than one field"),
        ({"shape": "x"}, "is damaged"),
    ],
)
def test_a_hostile_array_is_refused_by_its_metadata(tmp_path: Path, changes: dict, expected: str) -> None:
    uri = array_with(tmp_path, **changes)
    for read in (inspect, read_plane, read_pixels):
        with pytest.raises(UnreadableImage, match=expected):
            read(uri)


def test_damage_in_a_chunk_and_missing_pages_are_reasons(tmp_path: Path) -> None:
    folder = zarr_plate(tmp_path, 2) / "B/03/0/0"
    (folder / "0.1.1.0.0").write_bytes(b"\x00garbage")
    assert np.array_equal(read_plane(f"{folder}#zarr", 0).pixels, STACK[0, 0, 0])
    with pytest.raises(UnreadableImage, match="damaged"):
        read_plane(f"{folder}#zarr", 4)
    with pytest.raises(UnreadableImage, match="has 6 pages; page 7 is not there"):
        inspect(f"{folder}#zarr", 6)
    with pytest.raises(UnreadableImage, match="is not there"):
        inspect(f"{folder}/gone#zarr")


def test_an_empty_folder_is_still_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is empty"):
        read_layout(str(tmp_path))
