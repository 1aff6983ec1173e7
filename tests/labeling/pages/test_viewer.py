"""The viewer: the camera's values as they are, and the way to the next image."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile

from labeling.models import Channel, Image, ImageFile, Score
from labeling.services.viewing import beside_by_score, neighbour_grid
from tests.factories import add_scores, make_experiment
from tests.labeling.pages.conftest import text_of


@pytest.fixture
def on_disk(experiment, tmp_path):
    """The first image of the experiment with real files: 80 x 60 pixels, 16 bit."""
    image = Image.objects.order_by("id").first()
    random = np.random.default_rng(2)
    planes = [random.integers(0, 65536, (60, 80), np.uint16) for _ in range(2)]
    for n, (file, plane) in enumerate(zip(image.files.order_by("channel__position"), planes, strict=True)):
        file.uri, file.width, file.height = str(tmp_path / f"{n}.tif"), 80, 60
        file.save()
        tifffile.imwrite(file.uri, plane)
    return image, planes


def values_of(response) -> np.ndarray:
    return np.frombuffer(response.content, "<u2").reshape(int(response["X-Height"]), int(response["X-Width"]))


def test_every_value_of_the_camera_arrives(on_disk, as_scientist):
    image, planes = on_disk
    for position, plane in enumerate(planes):
        response = as_scientist.get(f"/images/{image.pk}/pixels/{position}.bin")
        np.testing.assert_array_equal(values_of(response), plane)


def test_a_smaller_view_is_the_mean_of_what_it_covers(on_disk, as_scientist, tmp_path):
    image, _ = on_disk
    plane = np.kron(np.arange(80 * 64).reshape(64, 80), np.ones((2, 2))).astype(np.uint16)
    tifffile.imwrite(tmp_path / "0.tif", plane)
    response = as_scientist.get(f"/images/{image.pk}/pixels/0.bin?size=80")
    np.testing.assert_array_equal(values_of(response), np.arange(80 * 64).reshape(64, 80))


def test_eight_bits_come_as_the_same_numbers(on_disk, as_scientist, tmp_path):
    image, _ = on_disk
    plane = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
    tifffile.imwrite(tmp_path / "0.tif", plane)
    np.testing.assert_array_equal(values_of(as_scientist.get(f"/images/{image.pk}/pixels/0.bin")), plane)


def test_a_file_that_went_away_is_named(on_disk, as_scientist, tmp_path):
    image, _ = on_disk
    (tmp_path / "1.tif").unlink()
    response = as_scientist.get(f"/images/{image.pk}/pixels/1.bin")
    assert response.status_code == 400
    assert "1.tif" in text_of(response)


@pytest.mark.parametrize("size", ["x", "12", "99999999999"])
def test_a_size_that_makes_no_sense_is_refused(on_disk, as_scientist, size):
    assert as_scientist.get(f"/images/{on_disk[0].pk}/pixels/0.bin?size={size}").status_code == 400


def test_the_page_knows_every_channel_and_its_contrast(on_disk, as_scientist):
    image, _ = on_disk
    page = text_of(as_scientist.get(f"/images/{image.pk}/viewer/"))
    channels = json.loads(re.search(r'<script id="channels" type="application/json">(.*?)</script>', page)[1])
    assert [(one["name"], one["low"], one["high"], one["width"]) for one in channels] == [
        ("DNA", 100, 5000, 80),
        ("ER", 100, 5000, 80),
    ]


def test_an_image_without_files_still_has_a_page(experiment, as_scientist):
    image = Image.objects.first()
    ImageFile.objects.filter(image=image).delete()
    Channel.objects.update(display_low=None, display_high=None)
    assert "There is no file to show" in text_of(as_scientist.get(f"/images/{image.pk}/viewer/"))


def test_walking_by_score_meets_every_image_once(scientist):
    experiment = make_experiment(scientist)
    run = add_scores(experiment, by=scientist, scores=[-0.5, -0.6, -0.5, -0.4] * 3)  # equal scores too
    expected = list(Score.objects.filter(run=run).order_by("score", "image_id").values_list("image_id", flat=True))
    images = Image.objects.in_bulk(expected)
    met, here = [], expected[0]
    while here is not None:
        met.append(here)
        here = beside_by_score(images[here], run).next
    assert met == expected
    back, here = [], expected[-1]
    while here is not None:
        back.append(here)
        here = beside_by_score(images[here], run).previous
    assert back == expected[::-1]


def test_links_lead_to_worse_and_better(experiment, as_scientist):
    in_order = list(Score.objects.order_by("score").values_list("image_id", flat=True))
    page = text_of(as_scientist.get(f"/images/{in_order[5]}/viewer/"))
    assert f'rel="prev" href="/images/{in_order[4]}/viewer/?order=score"' in page
    assert f'rel="next" href="/images/{in_order[6]}/viewer/?order=score"' in page
    by_place = text_of(as_scientist.get(f"/images/{in_order[5]}/viewer/?order=place"))
    assert f'rel="next" href="/images/{in_order[5] + 1}/viewer/?order=place"' in by_place or in_order[5] == max(
        in_order
    )


def test_an_order_nobody_knows_is_refused(experiment, as_scientist):
    assert as_scientist.get(f"/images/{Image.objects.first().pk}/viewer/?order=beauty").status_code == 400


def test_neighbours_stand_where_they_are_on_the_plate(experiment):
    image = Image.objects.with_place().get(well__row=1, well__column=2, site=2)
    grid = neighbour_grid(image)
    names = [[other.well.name if other else None for other in row] for row in grid]
    assert names == [[None, None, None], ["A01", "A02", "A03"], ["B01", "B02", "B03"]]
    assert {other.site for row in grid for other in row if other} == {2}
