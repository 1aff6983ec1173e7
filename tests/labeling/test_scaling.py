"""Files brought to 16 bits by different factors are told of, on every page where people would compare them."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.reading.values import scale_of
from labeling.models import AuditEvent, Channel, ImageFile
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from labeling.services.scaling import oddly_scaled
from tests.labeling.plates_on_disk import name_of, pixels, write


@pytest.fixture
def measured(tmp_path, scientist):
    """Measure float images of one channel, each multiplied by a factor; the other channel is plain."""

    def measure(*factors: float):
        for n, factor in enumerate(factors, start=1):
            write(tmp_path / name_of(f"B{n:02d}", 1, "DNA"), pixels(n).astype(np.float32) * factor)
            write(tmp_path / name_of(f"B{n:02d}", 1, "ER"), pixels(n))
        experiment = create_experiment("Floats", by=scientist)
        ingest_source(experiment, str(tmp_path), by=scientist)
        return experiment, measure_experiment(experiment, by=scientist)

    return measure


def test_files_of_different_scales_warn_where_people_look(measured, client, scientist):
    experiment, said = measured(1, 1, 100)
    warning = Channel.objects.get(name="DNA").warning
    assert warning.startswith(
        "Files of DNA were brought to 16 bits in different ways (2 taken as they are; 1 divided by 16)"
    )
    assert Channel.objects.get(name="ER").warning == ""
    assert warning in said
    assert AuditEvent.objects.get(action="experiment.measured").new["warnings"] == [warning]
    (odd,) = oddly_scaled(experiment)
    assert (odd.image.well.name, odd.scaling) == ("B03", "divided by 16")
    client.force_login(scientist)
    assert "files of <b>DNA</b> must not be compared" in client.get(f"/experiments/{experiment.pk}/").content.decode()
    page = client.get(f"/experiments/{experiment.pk}/files/").content.decode()
    assert warning in page
    assert "divided by 16" in page


def test_files_of_one_scale_do_not_warn(measured, client, scientist):
    experiment, said = measured(100, 100)
    assert set(ImageFile.objects.filter(channel__name="DNA").values_list("scaling", flat=True)) == {"divided by 16"}
    assert not Channel.objects.exclude(warning="").exists()
    assert said == "2 fields measured."
    client.force_login(scientist)
    assert "must not be compared" not in client.get(f"/experiments/{experiment.pk}/").content.decode()


def test_negative_numbers_of_some_files_do_not_warn():
    assert scale_of("negative numbers became 0; divided by 16") == scale_of("divided by 16") == "divided by 16"
    assert scale_of("negative numbers became 0") == scale_of("") == ""
