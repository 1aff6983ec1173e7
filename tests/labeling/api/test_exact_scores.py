"""An image whose score is exactly the cutoff is on the same side everywhere: counts, lists, bands, QC sets."""

import numpy as np
import pytest

from labeling.models import ScoreRun
from labeling.services.bands import Axis, BandRule, read_band
from labeling.services.cutoffs import choose_cutoff, preview_cutoff, save_cutoff
from labeling.services.qc_sets import draft_qc_set
from tests.factories import add_scores, make_scored_experiment
from tests.labeling.api.conftest import walk


@pytest.mark.parametrize("seed", range(4))
def test_a_qc_set_puts_out_what_the_preview_flagged(as_scientist, scientist, seed):
    experiment = make_scored_experiment(scientist, seed=seed)
    run = ScoreRun.objects.latest_of(experiment)
    for percent in (25, 50, 75):
        choice = choose_cutoff(run, percent=percent)
        flagged = preview_cutoff(run, choice).flagged
        save_cutoff(run, choice, by=scientist, reason="a share")
        listed = walk(as_scientist, f"/api/v1/experiments/{experiment.pk}/images/?flagged=true")
        assert flagged == len(listed) == draft_qc_set(experiment, by=scientist).n_out


@pytest.mark.parametrize("ascending", [True, False])
def test_a_band_shows_each_image_once(scientist, ascending):
    experiment = make_scored_experiment(scientist)
    run = add_scores(experiment, by=scientist, seed=5)
    axis, flagged = Axis(run), np.zeros(12, bool)
    rows = axis.order if ascending else axis.order[::-1]
    rule, after, seen = BandRule("all", "All", "", rows, ascending), None, []
    for _ in range(12):
        band = read_band(axis, rule, flagged, limit=1, after=after)
        seen += [tile.image.pk for tile in band.tiles]
        after = band.next
    assert after is None
    assert len(set(seen)) == 12
