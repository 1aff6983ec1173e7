"""A plate that is brighter as a whole is not worse: what each scaling makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.metrics import measure_plane
from imaging.simulate import PlateRecipe, plan_plate, render_field
from labeling.models import Well
from labeling.problems import BadValue
from tests.factories import make_scored_experiment
from training.learners.isolation import IsolationScorer
from training.learners.scaling import robust_z
from training.scoring import score_experiment

SHAPE = {"rows": 12, "columns": 16, "sites": 1, "size": (128, 128), "channels": ("DNA", "ER", "AGP")}


def metrics_of(barcode: str, gain: float = 1.0) -> np.ndarray:
    recipe = PlateRecipe(barcode=barcode, gain=gain, **SHAPE)
    return np.array(
        [
            np.concatenate([measure_plane(plane, container_max=65535, ceiling=65535) for plane in field])
            for field in (render_field(recipe, plan) for plan in plan_plate(recipe))
        ]
    )


@pytest.fixture(scope="module")
def plates() -> dict[str, np.ndarray]:
    return {
        "first": metrics_of("1"),
        "second": metrics_of("2"),
        "second, 30 % brighter": metrics_of("2", gain=1.3),
        "second, 3 times brighter": metrics_of("2", gain=3),
    }


def share_flagged_of_second(plates, second: str, groups: np.ndarray) -> float:
    """Percent of the second plate among the worst 8 % of both."""
    values = np.vstack([plates["first"], plates[second]])
    scores = IsolationScorer(random_state=4).fit(values, groups).score_samples(values, groups)
    n = len(plates["first"])
    return 100 * (scores[n:] < np.quantile(scores, 0.08)).mean()


def test_gain_moves_the_flagged_share_of_a_plate_by_less_than_a_point(plates):
    per_plate = np.repeat([1, 2], len(plates["first"]))
    before = share_flagged_of_second(plates, "second", per_plate)
    assert abs(share_flagged_of_second(plates, "second, 30 % brighter", per_plate) - before) < 1


def test_gain_does_move_it_when_plates_are_not_told_apart(plates):
    together = np.zeros(2 * len(plates["first"]))
    before = share_flagged_of_second(plates, "second", together)
    assert abs(share_flagged_of_second(plates, "second, 3 times brighter", together) - before) > 1


def test_controls_tell_what_is_usual():
    values = np.concatenate([np.arange(10.0), np.full(10, 100.0)])[:, None]
    controls = np.arange(20) < 10
    z = robust_z(values, np.zeros(20), controls)
    assert np.median(z[controls]) == pytest.approx(0)
    assert (z[~controls] > 20).all()
    assert (np.abs(robust_z(values, np.zeros(20))) < 3).all()


def test_a_run_says_what_it_was_scaled_by(experiment, scientist):
    Well.objects.filter(plate__experiment=experiment, column__lte=2).update(role="control")
    by_plate = score_experiment(experiment, by=scientist)
    by_controls = score_experiment(experiment, by=scientist, scaling="controls")
    assert (by_plate.parameters["scaling"], by_controls.parameters["scaling"]) == ("plate", "controls")
    assert bytes(by_plate.vector) != bytes(by_controls.vector)


def test_controls_that_are_not_there_are_named(scientist):
    experiment = make_scored_experiment(scientist, plates=("A", "B"))
    Well.objects.filter(plate__barcode="A").update(role="control")
    with pytest.raises(BadValue, match="Plate B has 0 measured fields in control wells"):
        score_experiment(experiment, by=scientist, scaling="controls")


def test_a_scaling_nobody_knows_is_refused(experiment, scientist):
    with pytest.raises(BadValue, match="'moon' is no scaling; use plate, controls, experiment"):
        score_experiment(experiment, by=scientist, scaling="moon")
