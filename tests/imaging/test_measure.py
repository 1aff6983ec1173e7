"""One read of a field's files gives its numbers, hashes and thumbnails."""

import hashlib

import cv2
import numpy as np
import pytest
import tifffile

from imaging.measure import (
    COMPOSITE,
    ChannelRecipe,
    Field,
    FileOfField,
    ceiling_of_channel,
    content_hash,
    measure_field,
    measure_fields,
    redraw_fields,
    sample_fields,
)
from imaging.metrics import PLANE_METRICS, measure_plane, metric_columns
from imaging.previews import DisplayRange

RECIPE = [
    ChannelRecipe("DNA", "#4c7dff", DisplayRange(0, 4095), 4095),
    ChannelRecipe("ER", "#35d06a", DisplayRange(0, 4095), 4095),
]


def plane(seed: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)


@pytest.fixture
def field(tmp_path):
    """A field of two channels; returns it and its planes."""
    planes = [plane(1), plane(2)]
    files = []
    for channel, pixels in zip(RECIPE, planes, strict=True):
        path = tmp_path / f"{channel.name}.tif"
        tifffile.imwrite(path, pixels)
        files.append(FileOfField(channel.name, str(path)))
    return Field(17, tuple(files)), planes


def test_values_are_those_of_each_plane_in_the_order_of_the_columns(field):
    one, planes = field
    values = measure_field(one, RECIPE).values
    assert len(values) == len(metric_columns(["DNA", "ER"]))
    for n, pixels in enumerate(planes):
        part = values[n * len(PLANE_METRICS) : (n + 1) * len(PLANE_METRICS)]
        np.testing.assert_array_equal(part, measure_plane(pixels, container_max=65535, ceiling=4095))


def test_the_ceiling_is_the_channels_not_the_planes(field):
    one, planes = field
    position = metric_columns(["DNA"]).index("CellQC_SaturatedPercent_DNA")
    low = measure_field(one, RECIPE).values[position]
    higher = [ChannelRecipe(c.name, c.colour, c.shown, 65535) for c in RECIPE]
    assert low == pytest.approx(100 * (planes[0] == 4095).mean())
    assert measure_field(one, higher).values[position] == 0


def test_hashes_are_of_the_files_bytes(field):
    one, _ = field
    done = measure_field(one, RECIPE)
    expected = tuple(hashlib.sha256(open(file.uri, "rb").read()).hexdigest() for file in one.files)  # noqa: SIM115
    assert done.key == 17
    assert done.file_sha256 == expected
    assert done.content_hash == content_hash((sha256, 0) for sha256 in expected)


def test_the_content_hash_tells_pages_and_channels_apart():
    a, b = "a" * 64, "b" * 64
    assert len({content_hash(files) for files in ([(a, 0), (b, 0)], [(b, 0), (a, 0)], [(a, 0), (b, 1)])}) == 3


def test_a_page_of_a_stack_is_measured_as_that_page(tmp_path):
    stack = np.stack([plane(3), plane(4)])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    one = Field(1, (FileOfField("DNA", str(tmp_path / "stack.tif"), page=1),))
    values = measure_field(one, RECIPE[:1]).values
    np.testing.assert_array_equal(values, measure_plane(stack[1], container_max=65535, ceiling=4095))


def test_each_channel_and_the_composite_are_drawn(field):
    one, _ = field
    thumbnails = measure_field(one, RECIPE).thumbnails
    shapes = {
        name: cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED).shape
        for name, jpeg in thumbnails.items()
    }
    assert shapes == {"DNA": (60, 80), "ER": (60, 80), COMPOSITE: (60, 80, 3)}


def test_the_composite_of_one_channel_is_that_channel_in_grey(field):
    one, _ = field
    thumbnails = measure_field(Field(1, one.files[:1]), RECIPE[:1]).thumbnails
    assert thumbnails[COMPOSITE] == thumbnails["DNA"]


def test_a_broken_file_fails_its_field_and_no_other(field, tmp_path):
    one, _ = field
    (tmp_path / "empty.tif").touch()
    broken = Field(18, (one.files[0], FileOfField("ER", str(tmp_path / "empty.tif"))))
    good, bad = measure_fields([one, broken], RECIPE)
    assert good.values is not None
    assert bad.values is None
    assert bad.problem == "ER: is empty (0 bytes); copy it again from the microscope"
    assert bad.broken_uri == str(tmp_path / "empty.tif")


def test_what_nobody_expected_fails_its_field_and_no_other(field, caplog):
    """A ceiling that no metric takes stands for any fault of ours."""
    one, _ = field
    alike = Field(18, one.files)
    broken = [ChannelRecipe(c.name, c.colour, c.shown, 2**20) for c in RECIPE]
    told = measure_fields([one, alike], broken)
    assert [done.key for done in told] == [17, 18]
    assert told[0].problem.startswith("cellqc did not expect what is in these files: DNA.tif, ER.tif.")
    assert "measuring failed for DNA.tif" in caplog.text


def test_channels_of_different_size_are_a_problem_that_names_both(field, tmp_path):
    one, _ = field
    tifffile.imwrite(tmp_path / "small.tif", plane(5, (30, 40)))
    done = measure_field(Field(1, (one.files[0], FileOfField("ER", str(tmp_path / "small.tif")))), RECIPE)
    assert done.values is None
    assert done.problem == "The channels differ in size (DNA 80 x 60, ER 40 x 30)."


def test_redrawing_draws_the_same_pictures_and_tells_what_is_gone(field, tmp_path):
    one, _ = field
    gone = Field(18, (FileOfField("DNA", str(tmp_path / "gone.tif")), one.files[1]))
    drawn, failed = redraw_fields([one, gone], RECIPE)
    assert drawn.thumbnails == measure_field(one, RECIPE).thumbnails
    assert "is not there" in failed.problem
    assert failed.thumbnails == {}


def test_samples_leave_out_what_cannot_be_read(field, tmp_path):
    one, planes = field
    gone = Field(18, (FileOfField("DNA", str(tmp_path / "gone.tif")),))
    (sample,) = sample_fields([gone, one])
    assert {name: seen.largest for name, seen in sample.items()} == {"DNA": planes[0].max(), "ER": planes[1].max()}


@pytest.mark.parametrize(
    ("extremes", "container_max", "ceiling"),
    [
        ([(90, 1200), (80, 4095)], 65535, 4095),
        ([(90, 1200), (80, 4096)], 65535, 16383),
        ([(90, 1200), (80, 60000)], 65535, 65535),
        ([(0, 200)], 255, 255),
        ([(90, 1023)] * 3 + [(90, 700)], 65535, 1023),
        ([(90, 2047), (80, 2047), (70, 2047)], 65535, 2047),
        ([(90, 1023)] * 2, 65535, 4095),  # a dim 12-bit channel may end there once or twice
        ([(90, 1022)] * 9, 65535, 4095),
        ([(90, 1023)] * 9 + [(90, 1024)], 65535, 4095),
        ([(90, 255)] * 9, 255, 255),
    ],
)
def test_the_ceiling_of_a_channel_holds_its_brightest_pixel(extremes, container_max, ceiling):
    assert ceiling_of_channel(extremes, container_max) == ceiling


def test_dim_12_bit_channels_do_not_look_like_smaller_cameras():
    """Camera counts whose brightest pixels lie anywhere around the smaller ceilings."""
    random = np.random.default_rng(7)
    for mean in random.uniform(700, 1900, 300):
        planes = random.poisson(mean, (36, 500))
        extremes = [(int(plane.min()), int(plane.max())) for plane in planes]
        assert ceiling_of_channel(extremes, 65535) == 4095
