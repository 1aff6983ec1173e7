"""Layouts with an index file: ImageXpress HTD, Harmony's Index.idx.xml, Yokogawa's .mlf, LoadData tables."""

from collections import Counter
from pathlib import Path

import fsspec
import pytest

from imaging.layouts import (
    LAYOUTS,
    Place,
    SourceError,
    Understood,
    choose_z,
    preview_layout,
    read_layout,
    still_missing,
)
from imaging.wells import WellPosition, parse_well


def write(root: Path, files: dict[str, str | bytes]) -> str:
    """A folder of these files; pixels do not matter here."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def places(understood: Understood) -> set[tuple[str, int, str, int, int | None]]:
    """Well, site, channel, timepoint and z of each plane."""
    return {(p.well.name, p.site, p.channel, p.timepoint, p.z) for p in understood.planes}


# ImageXpress


HTD = b"""\
"HTSInfoFile", Version 1.0\r
"Description", "10\xb5m, Z\xfcrich\x81"\r
"NWavelengths", 3\r
"WaveName1", "DAPI"\r
"WaveName2", "Cy3, narrow"\r
"WaveName3", "Cy5"\r
"EndFile"\r
"""


def test_wavelengths_are_called_as_an_htd_that_is_no_utf8_calls_them(tmp_path: Path) -> None:
    names = ["TimePoint_1/P1_B02_s1_w1.TIF", "TimePoint_1/P1_B02_s1_w2.TIF", "TimePoint_1/P1_B02_s1_w2_thumb.TIF"]
    source = write(tmp_path, {"P1.HTD": HTD, **dict.fromkeys(names, "")})
    understood = read_layout(source)
    assert understood.channels == ["DAPI", "Cy3, narrow"]
    assert places(understood) == {("B02", 1, "DAPI", 1, None), ("B02", 1, "Cy3, narrow", 1, None)}
    assert understood.n_ignored == 2
    assert "The HTD file also names Cy5, of which there is no file." in understood.explanation


def test_each_plate_has_its_own_htd(tmp_path: Path) -> None:
    other = HTD.replace(b"DAPI", b"Hoechst")
    source = write(tmp_path, {"a/A.HTD": HTD, "a/A_B02_w1.TIF": "", "b/B.HTD": other, "b/B_B02_w1.TIF": ""})
    assert {(p.plate, p.channel) for p in read_layout(source).planes} == {("A", "DAPI"), ("B", "Hoechst")}


def test_two_plates_in_one_folder_are_told_by_the_htds_name(tmp_path: Path) -> None:
    other = HTD.replace(b"DAPI", b"Hoechst")
    source = write(tmp_path, {"A.HTD": HTD, "A_B02_w1.TIF": "", "B.htd": other, "B_B02_w1.TIF": ""})
    assert {(p.plate, p.channel) for p in read_layout(source).planes} == {("A", "DAPI"), ("B", "Hoechst")}


def test_two_wavelengths_of_one_name_stay_two_channels(tmp_path: Path) -> None:
    twice = b'"WaveName1", "DAPI"\r\n"WaveName2", "DAPI"\r\n"WaveName3", ""\r\n'
    source = write(tmp_path, {"P.HTD": twice, "P_B02_w1.TIF": "", "P_B02_w2.TIF": "", "P_B02_w3.TIF": ""})
    assert read_layout(source).channels == ["DAPI (w1)", "DAPI (w2)", "w3"]


def test_one_wavelength_may_have_no_number(tmp_path: Path) -> None:
    source = write(tmp_path, {"P_B02_s1.TIF": "", "P_B02_s2.TIF": ""})
    assert places(read_layout(source)) == {("B02", 1, "w1", 1, None), ("B02", 2, "w1", 1, None)}


def test_the_exported_plate_is_read_with_its_names(shared: Path) -> None:
    understood = read_layout(str(shared / "data/layouts/imagexpress-exported-9987"))
    assert understood.refused == []
    assert understood.channels == ["DAPI", "FITC", "Texas Red"]
    assert places(understood) == {
        (well, site, channel, 1, z)
        for well in ("B02", "B03")
        for site in (1, 2)
        for channel in ("DAPI", "FITC", "Texas Red")
        for z in (None, 1, 2)
    }
    assert {plane.plate for plane in understood.planes} == {"9987"}
    assert "9987.HTD" in understood.guess.explanation


def test_the_acquired_plate_is_read_by_its_folders(shared: Path) -> None:
    understood = read_layout(str(shared / "data/layouts/imagexpress-1well-3ch-2site-zmix-t"))
    assert understood.refused == []
    assert places(understood) == {
        ("C07", site, channel, timepoint, None)
        for site in (1, 2)
        for channel in ("w1", "w2", "w3")
        for timepoint in (1, 2)
    }


# Opera Phenix, Operetta


def harmony(*images: str, namespace: str = "http://www.perkinelmer.com/PEHH/HarmonyV5", more: str = "") -> str:
    """An Index.idx.xml with these Image elements."""
    return (
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><EvaluationInputData xmlns="{namespace}"><Plates><Plate>'
        "<PlateID>id</PlateID><Name>BR001</Name></Plate></Plates><Wells><Well><id>0203</id>"
        f'<Image id="0203K1F1P1R1"/></Well></Wells>{more}<Images>{"".join(images)}</Images></EvaluationInputData>'
    )


def image(field: int, plane: int = 1, channel: int = 1, time: int = 0, name: str = "DAPI", state: str = "Ok") -> str:
    """An Image element of well B03."""
    url = f"r02c03f{field:02d}p{plane:02d}-ch{channel}sk{time + 1}fk1fl1.tiff"
    named = f"<ChannelName>{name}</ChannelName>" if name else ""
    return (
        f'<Image Version="1"><id>x</id><State>{state}</State><URL>{url}</URL><Row>2</Row><Col>3</Col>'
        f"<FieldID>{field}</FieldID><PlaneID>{plane}</PlaneID><TimepointID>{time}</TimepointID>"
        f"<ChannelID>{channel}</ChannelID>{named}</Image>"
    )


def opera_name(field: int, plane: int = 1, channel: int = 1, time: int = 1) -> str:
    """The file's name in well B03."""
    return f"Images/r02c03f{field:02d}p{plane:02d}-ch{channel}sk{time}fk1fl1.tiff"


def test_harmonys_index_names_the_plate_and_the_channels(tmp_path: Path) -> None:
    index = harmony(image(1), image(1, channel=2, name="Alexa 488"), image(1, time=1))
    files = {"Images/Index.idx.xml": index, opera_name(1): "", opera_name(1, channel=2): "", opera_name(1, time=2): ""}
    understood = read_layout(write(tmp_path, files))
    assert understood.layout is LAYOUTS["opera"]
    assert understood.refused == []
    assert understood.channels == ["DAPI", "Alexa 488"]
    assert {plane.plate for plane in understood.planes} == {"BR001"}
    assert places(understood) == {
        ("B03", 1, "DAPI", 1, None),
        ("B03", 1, "Alexa 488", 1, None),
        ("B03", 1, "DAPI", 2, None),
    }


@pytest.mark.parametrize(
    "namespace", ["http://www.perkinelmer.com/PEHH/HarmonyV6", "http://www.revvity.com/PEHH/HarmonyV7"]
)
def test_newer_indexes_name_channels_in_their_map(tmp_path: Path, namespace: str) -> None:
    entry = '<Maps><Map><Entry ChannelID="2"><ChannelName>Mito</ChannelName></Entry></Map></Maps>'
    index = harmony(image(1, channel=2, name=""), namespace=namespace, more=entry)
    understood = read_layout(write(tmp_path, {"Images/Index.xml": index, opera_name(1, channel=2): ""}))
    assert understood.channels == ["Mito"]


def test_an_image_the_index_names_but_is_not_there_is_missing_at_its_place(tmp_path: Path) -> None:
    index = harmony(image(1), image(2), image(3, state="Error"))
    files = {"Images/Index.idx.xml": index, opera_name(1): "", opera_name(3): ""}
    understood = read_layout(write(tmp_path, files))
    assert len(understood.planes) == 1
    assert [(one.place.site, one.reason) for one in understood.missing] == [
        (2, "is named in Index.idx.xml but is not in the folder"),
        (3, "was not taken well: the microscope noted 'Error'"),
    ]
    assert understood.missing[0].place == Place("BR001", WellPosition(2, 3), 2, "DAPI")
    assert "2 image planes missing" in understood.explanation


def test_an_image_the_index_lacks_is_read_by_its_name_with_the_indexs_words(tmp_path: Path) -> None:
    source = write(tmp_path, {"Images/Index.idx.xml": harmony(image(1)), opera_name(1): "", opera_name(2): ""})
    understood = read_layout(source)
    assert places(understood) == {("B03", site, "DAPI", 1, None) for site in (1, 2)}
    assert {plane.plate for plane in understood.planes} == {"BR001"}


def test_opera_names_alone_are_enough(tmp_path: Path) -> None:
    folder = "BR2__2023-02-06T09_42_13-Measurement 1/"
    names = [
        folder + opera_name(1, plane=1),
        folder + opera_name(1, plane=2),
        folder + opera_name(12, plane=1, channel=10),
    ]
    understood = read_layout(write(tmp_path, dict.fromkeys(names, "")))
    assert {plane.plate for plane in understood.planes} == {"BR2"}
    assert understood.channels == ["ch1", "ch10"]
    assert places(understood) == {("B03", 1, "ch1", 1, 1), ("B03", 1, "ch1", 1, 2), ("B03", 12, "ch10", 1, None)}


@pytest.mark.parametrize(
    "index",
    [
        harmony(image(1))[:-40],
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        "",
        "\x00\x01",
        harmony(image(1)).replace("<Row>2</Row>", "<Row>900</Row>"),
        harmony(image(1)).replace("r02c03", "../../etc/r02c03"),
    ],
    ids=["cut short", "entities", "empty", "binary", "no such row", "outside"],
)
def test_a_hostile_index_leaves_the_names(tmp_path: Path, index: str) -> None:
    understood = read_layout(write(tmp_path, {"Images/Index.idx.xml": index, opera_name(1): ""}))
    assert {(plane.well.name, plane.site) for plane in understood.planes} == {("B03", 1)}
    assert "Index.idx.xml" in understood.explanation


def test_the_operetta_plate_is_read(shared: Path) -> None:
    understood = read_layout(str(shared / "data/layouts/operetta-phenix"))
    assert understood.refused == []
    assert places(understood) == {("C03", site, "Fluorescein (FITC)", 1, None) for site in (1, 2)}
    assert {plane.plate for plane in understood.planes} == {"Test_Sample_BALL"}


# Yokogawa


BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def shot(field: int, channel: int, z: int = 1, row: int = 3, column: int = 14, action: str = "3D") -> str:
    """An IMG record."""
    name = yokogawa_name(field, channel, z, row, column)
    return (
        f'<bts:MeasurementRecord bts:Type="IMG" bts:Column="{column}" bts:Row="{row}" bts:TimePoint="1" '
        f'bts:FieldIndex="{field}" bts:ZIndex="{z}" bts:TimelineIndex="1" bts:ActionIndex="1" bts:Action="{action}" '
        f'bts:X="{field * 100}.0" bts:Y="25.0" bts:Z="3.0" bts:Ch="{channel}">{name}</bts:MeasurementRecord>'
    )


def error(text: str, **facts: object) -> str:
    """An ERR record, as an autofocus that fails writes it: without field, channel and z unless given."""
    given = {"Column": 14, "Row": 3, "TimePoint": 1, "PartialTileIndex": 1, "TimelineIndex": 1, **facts}
    listed = " ".join(f'bts:{key}="{value}"' for key, value in given.items())
    return f'<bts:MeasurementRecord bts:Type="ERR" {listed}>{text}</bts:MeasurementRecord>'


def yokogawa_name(field: int, channel: int, z: int = 1, row: int = 3, column: int = 14) -> str:
    """A file's name."""
    well = WellPosition(row, column).name
    return f"P_{well}_T0001F{field:03d}L01A01Z{z:02d}C{channel:02d}.tif"


def measurement(*records: str, images: list[str], more: dict[str, str] | None = None) -> dict[str, str]:
    """The files of a measurement."""
    sample = '<bts:MeasurementSamplePlate bts:Name="Plate 7"/>'
    detail = f'<bts:MeasurementDetail bts:Title="T" {BTS}>{sample}</bts:MeasurementDetail>'
    setting = (
        f'<bts:MeasurementSetting {BTS}><bts:ChannelList><bts:Channel bts:Ch="1" bts:Acquisition="BP445/45" '
        'bts:Fluorophore="Hoechst"/><bts:Channel bts:Ch="2" bts:Acquisition="BP525/50" bts:Fluorophore=""/>'
        '<bts:Channel bts:Ch="3" bts:Acquisition="BP600/37"/></bts:ChannelList></bts:MeasurementSetting>'
    )
    mlf = f"<bts:MeasurementData {BTS}>{''.join(records)}</bts:MeasurementData>"
    return {
        "m/MeasurementData.mlf": mlf,
        "m/MeasurementDetail.mrf": detail,
        "m/x.mes": setting,
        **{f"m/{name}": "" for name in images},
        **(more or {}),
    }


def test_yokogawas_list_names_plate_channels_and_z(tmp_path: Path) -> None:
    names = [yokogawa_name(f, c, z) for f in (1, 2) for c in (1, 2) for z in (1, 2)]
    shots = [shot(f, c, z) for f in (1, 2) for c in (1, 2) for z in (1, 2)]
    corrections = ["DC_DCAM#1_CAM3.tif", "SC_BP445-45_20x v2_M01_CH01.tif"]
    understood = read_layout(write(tmp_path, measurement(*shots, images=names + corrections)))
    assert understood.layout is LAYOUTS["yokogawa"]
    assert understood.refused == []
    assert understood.channels == ["Hoechst", "BP525/50"]
    assert {plane.plate for plane in understood.planes} == {"Plate 7"}
    assert places(understood) == {("C14", f, c, 1, z) for f in (1, 2) for c in ("Hoechst", "BP525/50") for z in (1, 2)}
    assert understood.n_ignored == 5


def test_an_autofocus_error_leaves_the_planes_of_its_position_missing_with_the_reason(tmp_path: Path) -> None:
    """It names no field and no channel; the position is that of field 2 in the other well."""
    other = {"row": 1, "column": 1}
    shots = [shot(f, c, **other) for f in (1, 2) for c in (1, 2)] + [shot(1, c) for c in (1, 2)]
    names = [yokogawa_name(f, c, **other) for f in (1, 2) for c in (1, 2)] + [yokogawa_name(1, c) for c in (1, 2)]
    failed = error("AF Error at C14 No. 2 (P)", X="200.0", Y="25.3")
    understood = read_layout(write(tmp_path, measurement(*shots, failed, images=names)))
    assert len(understood.planes) == 6
    assert [one.place for one in understood.missing] == [
        Place("Plate 7", parse_well("C14"), 2, channel) for channel in ("Hoechst", "BP525/50")
    ]
    assert {one.reason for one in understood.missing} == {"was not taken by the microscope (AF Error at C14 No. 2 (P))"}
    assert len({one.uri for one in understood.missing}) == 2
    assert "notes 1 errors; 2 planes were not taken" in understood.explanation


def test_an_error_without_a_position_concerns_every_field_the_well_lacks(tmp_path: Path) -> None:
    other = {"row": 1, "column": 1}
    shots = [shot(f, 1, **other) for f in (1, 2, 3)]
    names = [yokogawa_name(f, 1, **other) for f in (1, 2, 3)]
    understood = read_layout(write(tmp_path, measurement(*shots, error("Well lost"), images=names)))
    assert [one.place.site for one in understood.missing] == [1, 2, 3]


def test_an_error_of_a_plane_that_was_taken_after_all_leaves_nothing_missing(tmp_path: Path) -> None:
    failed = error("AF Error", FieldIndex=1, Ch=1)
    understood = read_layout(write(tmp_path, measurement(shot(1, 1), failed, images=[yokogawa_name(1, 1)])))
    assert understood.missing == []


def test_one_failed_z_plane_is_missing_but_its_image_is_shown_by_the_others(tmp_path: Path) -> None:
    shots = [shot(1, 1, z) for z in (1, 3)]
    failed = error("", FieldIndex=1, Ch=1, ZIndex=2)
    names = [yokogawa_name(1, 1, z) for z in (1, 3)]
    understood = read_layout(write(tmp_path, measurement(*shots, failed, images=names)))
    (missing,) = understood.missing
    assert (missing.place.z, missing.reason) == (2, "was not taken by the microscope (it gives no reason)")
    assert still_missing(understood.refused, choose_z(understood.planes).planes) == []
    assert still_missing(understood.refused, []) == [missing]


def test_a_plate_of_nothing_but_errors_has_its_places(tmp_path: Path) -> None:
    files = measurement(error("AF Error", FieldIndex=4, Ch=1), images=[], more={"m/DC_1.tif": ""})
    understood = read_layout(write(tmp_path, files), layout="yokogawa")
    assert understood.planes == []
    assert [(one.place.well.name, one.place.site, one.place.channel) for one in understood.missing] == [
        ("C14", 4, "Hoechst")
    ]
    assert understood.channels == ["Hoechst"]


def test_a_listed_image_that_is_not_there_is_missing(tmp_path: Path) -> None:
    understood = read_layout(write(tmp_path, measurement(shot(1, 1), shot(2, 1), images=[yokogawa_name(1, 1)])))
    assert [one.reason for one in understood.missing] == ["is named in MeasurementData.mlf but is not in the folder"]


def test_the_microscopes_projection_has_no_z(tmp_path: Path) -> None:
    shots = [shot(1, 1, 1), shot(1, 1, 2), shot(1, 1, 3, action="MIP")]
    understood = read_layout(write(tmp_path, measurement(*shots, images=[yokogawa_name(1, 1, z) for z in (1, 2, 3)])))
    assert [plane.z for plane in understood.planes] == [1, 2, None]


def test_a_broken_list_leaves_the_names(tmp_path: Path) -> None:
    files = measurement(shot(1, 1), images=[yokogawa_name(1, 1)])
    files["m/MeasurementData.mlf"] = files["m/MeasurementData.mlf"][:-30]
    understood = read_layout(write(tmp_path, files))
    assert places(understood) == {("C14", 1, "Hoechst", 1, None)}
    assert "MeasurementData.mlf is damaged or cut short" in understood.explanation


def test_yokogawa_names_alone_are_enough(tmp_path: Path) -> None:
    names = [f"{folder}/AssayPlate_Greiner_#655090_D03_T0001F036L01A01Z01C01.png" for folder in ("P1", "P2")]
    understood = read_layout(write(tmp_path, dict.fromkeys(names, "")))
    assert understood.refused == []
    assert {(p.plate, p.well.name, p.site, p.channel, p.z) for p in understood.planes} == {
        (plate, "D03", 36, "C01", None) for plate in ("P1", "P2")
    }


def test_the_cv8000_plate_is_read(shared: Path) -> None:
    understood = read_layout(str(shared / "data/layouts/cv8000"))
    assert understood.layout is LAYOUTS["yokogawa"]
    assert understood.refused == []
    assert understood.channels == ["BP445/45", "BP525/50"]
    assert places(understood) == {
        (well, site, channel, 1, z)
        for well in ("D08", "E03", "F08")
        for site in (1, 2, 3, 4)
        for channel in understood.channels
        for z in (1, 2, 3, 4)
    }
    assert {plane.plate for plane in understood.planes} == {"CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack"}
    assert "6 .tif" in understood.explanation  # 2 dark and 4 shading images
    planes, n_left_out = choose_z(understood.planes)
    assert ({plane.z for plane in planes}, len(planes), n_left_out) == ({2}, 24, 72)


def test_an_error_written_into_the_real_list_is_found(shared: Path, tmp_path: Path) -> None:
    folder = next((shared / "data/layouts/cv8000").rglob("MeasurementData.mlf")).parent
    failed = error("AF Error at D07 No. 3", Column=7, Row=4, X="-567.1", Y="-247.0")
    for path in folder.iterdir():
        if path.suffix == ".tif":
            (tmp_path / path.name).touch()
        elif path.name != "MeasurementData.mlf":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (
        (folder / "MeasurementData.mlf")
        .read_text()
        .replace("</bts:MeasurementData>", failed + "</bts:MeasurementData>")
    )
    (tmp_path / "MeasurementData.mlf").write_text(text)
    understood = read_layout(str(tmp_path))
    assert len(understood.planes) == 96
    assert {(one.place.well.name, one.place.site, one.place.channel) for one in understood.missing} == {
        ("D07", 3, channel) for channel in ("BP445/45", "BP525/50")
    }


# LoadData


def table(
    *rows: str,
    header: str = "FileName_DNA,PathName_DNA,FileName_ER,PathName_ER,Metadata_Plate,Metadata_Well,Metadata_Site",
) -> str:
    """A LoadData CSV as Excel writes it, with a BOM."""
    return "\ufeff" + "\r\n".join([header, *rows]) + "\r\n"


def test_a_loaddata_table_finds_its_files_beside_it(tmp_path: Path) -> None:
    rows = ['"a, 1.tif",/other/pc/Images,b.tif,/other/pc/Images,P1,B02,1', "c.tif,D:\\pc\\Images,d.tif,,P1,B03,2"]
    names = ["Images/a, 1.tif", "Images/b.tif", "Images/c.tif", "d.tif"]
    source = write(tmp_path, {"load_data.csv": table(*rows), **dict.fromkeys(names, "")})
    understood = read_layout(source)
    assert understood.layout is LAYOUTS["loaddata"]
    assert understood.refused == []
    assert understood.channels == ["DNA", "ER"]
    assert {(p.uri.removeprefix(source), p.well.name, p.site, p.channel) for p in understood.planes} == {
        ("/Images/a, 1.tif", "B02", 1, "DNA"),
        ("/Images/b.tif", "B02", 1, "ER"),
        ("/Images/c.tif", "B03", 2, "DNA"),
        ("/d.tif", "B03", 2, "ER"),
    }


def test_the_longest_end_of_a_path_wins(tmp_path: Path) -> None:
    """Every plate of an Opera holds the same names."""
    rows = [f"x.tif,/pc/{plate}/Images,,,{plate},B02,1" for plate in ("P1", "P2")]
    names = ["P1/Images/x.tif", "P2/Images/x.tif"]
    understood = read_layout(write(tmp_path, {"t.csv": table(*rows), **dict.fromkeys(names, "")}))
    assert understood.refused == []
    assert {(p.plate, p.uri.split("/")[-3]) for p in understood.planes} == {("P1", "P1"), ("P2", "P2")}


def test_one_file_for_two_places_is_taken_once(tmp_path: Path) -> None:
    rows = [f"x.tif,/pc/{plate},,,{plate},B02,1" for plate in ("P1", "P2")]
    understood = read_layout(write(tmp_path, {"t.csv": table(*rows), "x.tif": ""}))
    assert [plane.plate for plane in understood.planes] == ["P1"]
    assert "is named for plate P2, well B02" in understood.refused[0].reason


def test_two_tables_that_say_the_same_are_no_conflict(tmp_path: Path) -> None:
    text = table("x.tif,,,,P1,B02,1")
    understood = read_layout(write(tmp_path, {"a.csv": text, "b.csv": text, "x.tif": ""}))
    assert len(understood.planes) == 1
    assert understood.refused == []


def test_a_file_that_is_nowhere_is_missing_at_its_place(tmp_path: Path) -> None:
    understood = read_layout(write(tmp_path, {"t.csv": table("x.tif,,gone.tif,,P1,B02,1"), "x.tif": ""}))
    (missing,) = understood.missing
    assert missing.place == Place("P1", parse_well("B02"), 1, "ER")
    assert "is not in the folder" in missing.reason


def test_files_outside_the_source_are_taken_only_where_the_caller_allows(tmp_path: Path) -> None:
    outside = write(tmp_path / "store", {"x.tif": ""})
    source = write(tmp_path / "tables", {"t.csv": table(f"x.tif,{outside},y.tif,{outside},P1,B02,1")})
    refused = read_layout(source)
    assert refused.planes == []
    assert "nor in a place that may be read" in refused.missing[0].reason
    allowed = read_layout(source, may_read=lambda uri: uri.startswith(outside))
    assert [plane.uri for plane in allowed.planes] == [f"{outside}/x.tif"]
    assert [one.reason for one in allowed.missing] == ["is named in the LoadData table but is not there"]


def test_a_path_may_not_climb_out_of_the_source(tmp_path: Path) -> None:
    write(tmp_path, {"secret.tif": ""})
    source = write(tmp_path / "s", {"t.csv": table("secret.tif,..,secret.tif,a/../..,P1,B02,1")})
    assert read_layout(source, may_read=lambda _: True).planes == []


def test_urls_rows_and_columns_frames_and_database_names_are_understood(tmp_path: Path) -> None:
    metadata = "Image_Metadata_Row,Image_Metadata_Col,Image_Metadata_Field,Metadata_ZPlane"
    header = f"Image_URL_OrigDNA,Image_Frame_OrigDNA,{metadata}"
    rows = ["file:/pc/a%20b.tif,1,2,7,f03,4", "file:///pc/a%20b.tif,2,2,7,f03,5"]
    understood = read_layout(write(tmp_path / "BR9", {"t.csv": table(*rows, header=header), "a b.tif": ""}))
    assert [(p.well.name, p.site, p.channel, p.z, p.page) for p in understood.planes] == [
        ("B07", 3, "OrigDNA", 4, 1),
        ("B07", 3, "OrigDNA", 5, 2),
    ]


def test_illumination_functions_are_left_out(tmp_path: Path) -> None:
    header = "FileName_DNA,FileName_IllumDNA,Metadata_Well"
    understood = read_layout(write(tmp_path, {"t.csv": table("x.tif,dna.npy,B02", header=header), "x.tif": ""}))
    assert understood.channels == ["DNA"]
    assert "IllumDNA are not images" in understood.explanation


def test_a_row_without_a_well_is_refused_by_its_number(tmp_path: Path) -> None:
    rows = ["x.tif,,,,P1,B02,1", "y.tif,,,,P1,Q99,1", "", "z.tif"]
    understood = read_layout(write(tmp_path, {"t.csv": table(*rows), "x.tif": "", "y.tif": "", "z.tif": ""}))
    assert len(understood.planes) == 1
    assert [one.reason for one in understood.refused] == [
        "Row 3 of t.csv: Column 99 is on no plate; the largest plate has columns 1 to 48.",
        "Row 5 of t.csv: its name has no well.",
    ]


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe\x00", b'FileName_A\n"x', b"FileName_A;Metadata_Well\nx.tif;B02"])
def test_an_odd_table_never_stops_a_source(tmp_path: Path, data: bytes) -> None:
    understood = read_layout(write(tmp_path, {"t.csv": data, "x.tif": ""}), layout="loaddata")
    assert len(understood.planes) + len(understood.refused) >= 1


def test_a_microscopes_names_win_over_a_table_of_the_same_files_but_it_is_said(tmp_path: Path) -> None:
    files = {"t.csv": table("P1_B02_s1_w1.tif,,,,P1,B02,1"), "P1_B02_s1_w1.tif": ""}
    source = write(tmp_path, files)
    assert read_layout(source).layout is LAYOUTS["imagexpress"]
    assert "Also possible: CellProfiler LoadData table" in preview_layout(source).explanation
    assert read_layout(source, layout="loaddata").channels == ["DNA"]


def test_a_csv_that_is_no_loaddata_table_does_not_make_a_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no image files"):
        read_layout(write(tmp_path, {"plate.csv": "Well,Dose\nB02,1\n"}))


def test_a_table_in_a_bucket_finds_its_files(tmp_path: Path) -> None:
    storage = fsspec.filesystem("memory")
    storage.pipe_file("/loaddata/t.csv", table("x.tif,/pc/Images,y.tif,memory://elsewhere,P1,B02,1").encode())
    storage.pipe_file("/loaddata/Images/x.tif", b"x")
    storage.pipe_file("/elsewhere/y.tif", b"x")
    understood = read_layout("memory://loaddata", may_read=lambda uri: uri.startswith("memory://elsewhere/"))
    assert {plane.uri for plane in understood.planes} == {"memory:///loaddata/Images/x.tif", "memory://elsewhere/y.tif"}


def test_the_real_loaddata_table_has_its_places_and_says_its_files_are_not_here(shared: Path) -> None:
    understood = read_layout(str(shared / "data/layouts/loaddata"))
    assert understood.layout is LAYOUTS["loaddata"]
    assert understood.planes == []
    assert understood.channels == ["OrigGasdermin", "OrigRNA", "OrigDNA", "OrigMito", "OrigER", "OrigPM"]
    found = [one.place for one in understood.missing]
    assert len(found) == len(understood.refused) == 2880 * 6
    assert len(set(found)) == len(found)
    assert {place.plate for place in found} == {"70117_20230118MM1_CellPainting_A700_20X_V1"}
    assert {place.well for place in found} == {WellPosition(r, c) for r in range(1, 17) for c in range(13, 25)}
    assert Counter((place.site, place.z) for place in found) == {
        (s, z): 192 * 6 for s in range(1, 6) for z in (1, 2, 3)
    }


def test_the_real_loaddata_table_finds_files_that_were_copied_beside_it(shared: Path, tmp_path: Path) -> None:
    text = (shared / "data/layouts/loaddata/wave3_loaddata_without_qc.csv").read_text()
    names = [f"Images/r01c13f01p0{plane}-ch{channel}sk1fk1fl1.tiff" for plane in (1, 2, 3) for channel in range(1, 7)]
    source = write(tmp_path, {"t.csv": text, **dict.fromkeys(names, "")})
    understood = read_layout(source, layout="loaddata")
    assert places(understood) == {("A13", 1, channel, 1, z) for channel in understood.channels for z in (1, 2, 3)}
    by_name = {"DNA": 1, "ER": 2, "PM": 3, "RNA": 4, "Mito": 5, "Gasdermin": 6}
    assert all(f"-ch{by_name[plane.channel[4:]]}sk" in plane.uri for plane in understood.planes)


def test_cellprofilers_own_tables_get_wells_from_names_and_plates_from_folders(shared: Path) -> None:
    understood = read_layout(str(shared / "data/cellprofiler-image-tables"))
    assert understood.planes == []
    found = [one.place for one in understood.missing]
    assert len(found) == len(set(found)) == (1800 + 1500) * 4
    assert Counter(place.plate for place in found) == {"Plate_3": 1800 * 4, "Plate_4": 1500 * 4}
    assert set(understood.channels) == {"OrigDAPI", "OrigGFP", "OrigRFP", "OrigCY5"}
    assert {place.site for place in found} == set(range(1, 26))


def test_the_file_names_of_cellprofilers_tables_are_read_by_their_layout(shared: Path, tmp_path: Path) -> None:
    import csv

    with open(shared / "data/cellprofiler-image-tables/NF1_Plate_3_Image.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [row[f"FileName_Orig{channel}"] for row in rows for channel in ("DAPI", "GFP", "RFP", "CY5")]
    for name in names:
        (tmp_path / name).touch()
    understood = read_layout(str(tmp_path))
    assert understood.layout is LAYOUTS["well-plate-channel-site"]
    assert understood.refused == []
    assert understood.channels == ["DAPI", "GFP", "CY5", "RFP"]
    assert len(understood.planes) == 1800 * 4
    assert {plane.site for plane in understood.planes} == set(range(1, 26))
    assert len({plane.well for plane in understood.planes}) == 1800 // 25
