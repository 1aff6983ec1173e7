"""A look at a folder before anything is stored, with and without scripts."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import Experiment, ImageFile, Job
from tests.labeling.pages.conftest import HTMX, look_and_take, text_of
from tests.labeling.plates_on_disk import name_of, pixels, write

NEW = "/experiments/new/"


def look(client, folder, page=NEW, **given):
    return client.post(page, {"source": str(folder), "look": "1", **given})


def cells(response) -> list[tuple[object, ...]]:
    """The rows of the preview."""
    rows = response.context["look"].preview.rows
    return [(row.file, row.plate, row.well, row.site, row.channel, row.z, row.page, row.reason) for row in rows]


def test_a_look_shows_how_names_are_understood_and_stores_nothing(as_scientist, plate):
    (plate / name_of("B02", 1, "ER")).write_bytes(b"")
    write(plate / "overview.tif", pixels())
    response = look(as_scientist, plate)
    shown = text_of(response)
    assert "8 of 9 files are named like Well, plate, channel, site" in shown
    assert "Read as Well, plate, channel, site: 8 image files of 1 plate, 2 wells, 2 channels (DNA, ER)." in shown
    rows = cells(response)
    assert rows[0] == (name_of("B02", 1, "DNA"), "P1", "B02", 1, "DNA", None, 0, "")
    assert rows[-1][0] == "overview.tif"
    assert "does not follow the layout" in rows[-1][-1]
    assert {row[-1] for row in rows if row[0] == name_of("B02", 1, "ER")} == {
        "The file is empty (0 bytes); copy it again from the microscope."
    }
    preview = response.context["look"].preview
    assert (preview.n_images, preview.n_planes, preview.n_refused, preview.n_missing) == (9, 8, 1, 0)
    assert "Take these in" in shown
    assert not Experiment.objects.exists()
    assert not Job.objects.exists()


def test_a_look_needs_no_name_and_keeps_what_was_typed(as_scientist, plate):
    response = look(as_scientist, plate, z="first")
    assert "This field is required" not in text_of(response)
    assert f'value="{plate}"' in text_of(response)
    assert '<option value="first" selected>' in text_of(response)


def test_htmx_is_given_the_fragment_alone(as_scientist, plate):
    shown = text_of(as_scientist.post(NEW, {"source": str(plate), "look": "1"}, headers=HTMX))
    assert shown.startswith('<section id="look"')
    assert "Take these in" in shown
    assert "<html" not in shown


def test_layout_plate_and_z_can_be_chosen_and_looked_at_again(as_scientist, tmp_path):
    for z in (1, 2, 3):
        write(tmp_path / f"B02-z{z}-DNA.tif", pixels(z))
    pattern = "(?P<well>[A-P][0-9]+)-z(?P<z>[0-9])-(?P<channel>[A-Z]+)"
    response = look(as_scientist, tmp_path, pattern=pattern, plate="0412")
    assert cells(response) == [("B02-z2-DNA.tif", "0412", "B02", 1, "DNA", 2, 0, "")]
    assert response.context["look"].preview.n_left_out == 2
    assert cells(look(as_scientist, tmp_path, pattern=pattern, z="first"))[0][5] == 1
    (row,) = cells(look(as_scientist, tmp_path, pattern=pattern, z="max projection"))
    assert row[0] == "B02-z1-DNA.tif (maximum of 3 z planes)"
    assert "There is no z 9; z is 1 to 3." in text_of(look(as_scientist, tmp_path, pattern=pattern, z_number="9"))


def test_the_page_that_the_rule_takes_of_a_stack_is_shown(as_scientist, tmp_path):
    write(tmp_path / name_of("B02", 1, "DNA"), np.stack([pixels(n) for n in range(3)]), photometric="minisblack")
    assert cells(look(as_scientist, tmp_path))[0][5:7] == (2, 1)
    assert cells(look(as_scientist, tmp_path, z="first"))[0][5:7] == (1, 0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"source": ""}, "Name the folder that holds the images."),
        ({"source": "/nowhere/at/all"}, "There is no folder /nowhere/at/all."),
        ({"pattern": "(?P<well>["}, "The pattern is not a valid regular expression"),
        ({"pattern": "(?P<channel>x)"}, "The pattern has no group"),
    ],
)
def test_what_cannot_be_looked_at_is_told_and_cannot_be_taken(as_scientist, plate, given, sentence):
    for headers in ({}, HTMX):
        response = as_scientist.post(NEW, {"source": str(plate), "look": "1", **given}, headers=headers)
        assert sentence in response.content.decode()
        assert "Take these in" not in text_of(response)


def test_names_nobody_knows_are_shown_and_cannot_be_taken(as_scientist, tmp_path):
    write(tmp_path / "overview.tif", pixels())
    shown = text_of(look(as_scientist, tmp_path))
    assert "No known layout" in shown
    assert "overview.tif follows no known layout." in shown
    assert "Take these in" not in shown


def test_a_look_opens_only_what_the_admin_opened(as_scientist, plate, settings, tmp_path):
    settings.SOURCES = [str(tmp_path / "open")]
    (tmp_path / "open").mkdir()
    for place in (plate, tmp_path / "open" / ".." / "P1", "memory://x"):
        response = look(as_scientist, place)
        assert response.context["look"].preview is None
        assert "is not in a place images may be taken from" in text_of(response)


def test_only_what_was_looked_at_is_taken(as_scientist, plate):
    given = {"name": "Screen 12", "source": str(plate)}
    for data in (given, {**given, "looked": look(as_scientist, plate).context["look"].looked, "z": "first"}):
        response = as_scientist.post(NEW, data)
        assert "is not the one you looked at" in text_of(response)
        assert not Experiment.objects.exists()
    assert look_and_take(as_scientist, NEW, given).status_code == 302


def test_what_was_looked_at_is_what_the_worker_takes(as_scientist, worker, tmp_path):
    for z in (1, 2, 3):
        write(tmp_path / f"P9_B02_s1_z{z}_DNA.tif", pixels(z))
        write(tmp_path / f"P9_B02_s1_z{z}_ER.tif", pixels(z))
    assert cells(look(as_scientist, tmp_path, z_number="3"))[0][5] == 3
    look_and_take(as_scientist, NEW, {"name": "Screen 12", "source": str(tmp_path), "z_number": "3"})
    worker()
    assert list(ImageFile.objects.values_list("z", flat=True)) == [3, 3]


def test_the_overview_leads_to_the_look(as_scientist, experiment, plate):
    assert f'action="/experiments/{experiment.pk}/ingest/"' in text_of(
        as_scientist.get(f"/experiments/{experiment.pk}/")
    )
    assert as_scientist.get(f"/experiments/{experiment.pk}/ingest/").status_code == 200
    response = look(as_scientist, plate, page=f"/experiments/{experiment.pk}/ingest/")
    assert "Add images" in text_of(response)
    assert len(cells(response)) == 8
