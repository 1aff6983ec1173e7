"""The table a cluster node writes holds what the database holds, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet
import pytest

from imaging import calibration
from imaging.__main__ import main
from labeling.models import Channel, Experiment, Measurement
from labeling.services import measuring
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from tests.labeling.plates_on_disk import name_of, pixels, write, write_plate


def in_the_database(experiment: Experiment) -> dict[tuple[str, str, int], tuple[str, np.ndarray, list[str]]]:
    """Content hash, values and columns of each measured field."""
    measurements = Measurement.objects.select_related("image__plate", "image__well", "metric_set")
    return {
        (one.image.plate.barcode, one.image.well.name, one.image.site): (
            one.image.content_hash,
            np.array(one.values, np.float32),
            one.metric_set.columns,
        )
        for one in measurements.filter(image__experiment=experiment)
    }


def assert_equal_to_the_bit(path, experiment: Experiment) -> None:
    stored = in_the_database(experiment)
    rows = [row for row in pyarrow.parquet.read_table(path).to_pylist() if row["error"] is None]
    assert {(row["plate"], row["well"], row["site"]) for row in rows} == stored.keys()
    for row in rows:
        content_hash, values, columns = stored[row["plate"], row["well"], row["site"]]
        assert row["content_hash"] == content_hash
        given = np.array([np.nan if row[column] is None else row[column] for column in columns], np.float32)
        np.testing.assert_array_equal(given, values)


@pytest.fixture
def experiment(scientist) -> Experiment:
    return create_experiment("Elsewhere", by=scientist)


def test_two_channels_whose_ceiling_rises_after_the_sample(tmp_path, experiment, scientist, monkeypatch, capsys):
    """The one sampled field shows 12 bits, others 14 and 16; one has no ER, one cannot be read."""
    monkeypatch.setattr(measuring, "SAMPLED_FIELDS", 1)
    monkeypatch.setattr(calibration, "SAMPLED_FIELDS", 1)
    folder = write_plate(tmp_path / "P1", wells=("B02", "B03", "B04"))
    for well, top in (("B02", 4095), ("C02", 16_383), ("C03", 60_000), ("C04", 3000)):
        for channel, light in (("DNA", 1.0), ("ER", 0.9)):
            plane = pixels(top, light=light, top=top)
            plane[:4] = top if channel == "DNA" else min(top, 16_383)
            write(folder / name_of(well, 1, channel), plane)
    (folder / name_of("B03", 2, "ER")).unlink()
    (folder / name_of("B04", 2, "ER")).write_bytes(b"")
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    assert dict(Channel.objects.values_list("name", "camera_ceiling")) == {"DNA": 65535, "ER": 16_383}

    assert main(["measure", str(folder), str(tmp_path / "out.parquet"), "--workers", "2"]) == 1
    assert_equal_to_the_bit(tmp_path / "out.parquet", experiment)


def test_a_real_plate_of_three_channels(shared, tmp_path, experiment, scientist, capsys):
    folder = shared / "data" / "cellpainting-16bit-3ch"
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    assert main(["measure", str(folder), str(tmp_path / "out.parquet"), "--workers", "2"]) == 0
    assert_equal_to_the_bit(tmp_path / "out.parquet", experiment)
