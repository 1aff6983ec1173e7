"""Well by well: what falls out, by score and by hand; and what a draft warns of."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import Image, Measurement, MetricSet, Well
from labeling.problems import BadValue
from labeling.services.image_facts import basis_of
from labeling.services.labels import NewLabel, label_images
from labeling.services.plate_map import losses_by_cutoff, losses_of_set, map_of, mean_metric, mean_scores, warnings_of
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from labeling.services.well_colours import colour_wells, colourings_of
from tests.conftest import PASSWORD
from tests.factories import add_scores, make_experiment, make_scored_experiment, save_cutoff_at


def lost_by_well(experiment, value=None) -> dict[str, int]:
    plate_map = map_of(experiment, losses_by_cutoff(experiment, basis_of(experiment), value))
    return {well.name: well.n_lost for well in plate_map.wells if well.n_lost}


@pytest.fixture
def two_low(scientist):
    """Twelve images in order of wells A01 .. B03, two sites each; both of A01 and one of B03 score low."""
    experiment = make_experiment(scientist)
    add_scores(experiment, by=scientist, scores=[-0.7, -0.69, *[-0.45] * 9, -0.68])
    return experiment


def test_every_field_below_the_cutoff_is_counted_in_its_well(two_low):
    assert lost_by_well(two_low) == {"A01": 2, "B03": 1}  # automatic: -0.5
    assert lost_by_well(two_low, -0.685) == {"A01": 2}


def test_the_saved_cutoff_counts_when_none_is_named(two_low, scientist):
    save_cutoff_at(two_low, -0.695, by=scientist)
    assert lost_by_well(two_low) == {"A01": 1}


def test_labels_beat_scores(two_low, scientist):
    first, *_, last = two_low.images.order_by("id")
    label_images([NewLabel(first.pk, "good"), NewLabel(last.pk - 1, "bad"), NewLabel(last.pk, "bad")], by=scientist)
    assert lost_by_well(two_low) == {"A01": 1, "B03": 2}


def test_unsure_labels_follow_the_score(two_low, scientist):
    first = two_low.images.order_by("id").first()
    label_images([NewLabel(first.pk, "unsure")], by=scientist)
    assert lost_by_well(two_low) == {"A01": 2, "B03": 1}


def test_broken_fields_are_no_fields_of_a_well(two_low):
    Image.objects.filter(well__row=1, well__column=1, site=1).update(state="failed", problem="cut short")
    plate_map = map_of(two_low, losses_by_cutoff(two_low, basis_of(two_low)))
    first = plate_map.wells[0]
    assert (first.name, first.n_fields, first.n_lost, first.share_lost) == ("A01", 1, 1, 1.0)


def test_a_set_loses_what_its_decisions_say(two_low, scientist):
    save_cutoff_at(two_low, -0.5, by=scientist)
    label_images([NewLabel(two_low.images.order_by("id").first().pk, "good")], by=scientist)
    losses = losses_of_set(draft_qc_set(two_low, by=scientist))
    assert sorted(losses.values()) == [1, 1]


def test_queries_do_not_grow_with_wells(scientist, django_assert_num_queries):
    small = make_scored_experiment(scientist)
    large = make_scored_experiment(scientist, name="large", plates=("1", "2"), rows=4, columns=6)
    for experiment in (small, large):
        basis = basis_of(experiment)
        map_of(experiment, losses_by_cutoff(experiment, basis))  # reads what a process keeps
        with django_assert_num_queries(6):
            map_of(experiment, losses_by_cutoff(experiment, basis))


def test_the_map_follows_images_that_come_or_break(two_low):
    def fields():
        return sum(well.n_fields for well in map_of(two_low, {}).wells)

    before = fields()
    image = two_low.images.first()
    two_low.images.filter(pk=image.pk).update(state="failed", problem="its file is gone")
    assert fields() == before - 1
    other = two_low.images.last()
    two_low.images.filter(pk=image.pk).update(state="ready", problem="")
    two_low.images.filter(pk=other.pk).update(state="failed", problem="its file is gone")
    assert fields() == before - 1
    emptied = next(well for well in map_of(two_low, {}).wells if well.pk == other.well_id)
    assert emptied.n_fields == other.well.images.filter(state="ready").count()


def test_means_of_wells(two_low):
    run = basis_of(two_low).run
    wells = {well.name: well.pk for well in Well.objects.all()}
    assert mean_scores(run)[wells["A01"]] == pytest.approx(-0.695)
    metric_set = MetricSet.objects.get()
    column = metric_set.columns[3]
    rows = Measurement.objects.filter(image__well=wells["A01"])
    for row, value in zip(rows, (2.0, float("nan")), strict=True):
        row.values[3] = value
        row.save()
    assert mean_metric(metric_set, column)[wells["A01"]] == pytest.approx(2.0)


# --- colours ---------------------------------------------------------------------------------------------------


def colouring(experiment, key):
    basis = basis_of(experiment)
    plate_map = map_of(experiment, losses_by_cutoff(experiment, basis))
    return plate_map, colour_wells(key, plate_map, experiment, basis.run, MetricSet.objects.first())


def test_shares_read_the_same_on_every_plate(two_low):
    plate_map, colours = colouring(two_low, "flagged")
    by_name = {well.name: colours.colours[well.pk] for well in plate_map.wells}
    assert (by_name["A01"].css, by_name["A01"].words) == ("share-6", "2 of 2 fields fall out (100 %)")
    assert (by_name["B03"].css, by_name["A02"].css) == ("share-5", "share-0")


def test_a_well_shows_its_worst_label(two_low, scientist):
    one, other = two_low.images.order_by("id")[:2]
    label_images([NewLabel(one.pk, "good"), NewLabel(other.pk, "bad")], by=scientist)
    _, colours = colouring(two_low, "labels")
    assert colours.colours[one.well_id].css == "label-bad"
    assert colours.colours[one.well_id].words == "labelled 1 bad, 1 good"


def test_classes_of_the_plate_map_have_colours_of_their_own(two_low):
    for n, well in enumerate(Well.objects.order_by("id")):
        well.treatment = {"compound": "DMSO" if n < 4 else "X"}
        well.save()
    _, colours = colouring(two_low, "class:compound")
    assert colours.legend == [("class-0", "DMSO (4)"), ("class-1", "X (2)")]


def test_the_highest_score_has_the_last_step(two_low):
    plate_map, colours = colouring(two_low, "score")
    by_name = {well.name: colours.colours[well.pk].css for well in plate_map.wells}
    assert (by_name["A01"], by_name["A02"]) == ("step-0", "step-6")


def test_every_choice_on_the_list_can_be_drawn(two_low):
    basis, metric_set = basis_of(two_low), MetricSet.objects.get()
    plate_map = map_of(two_low, {})
    groups = colourings_of(plate_map, basis.run, metric_set, ["DNA", "ER"])
    assert [group for group, _ in groups] == ["Quality", "DNA", "ER", "DNA and ER"]
    for _, choices in groups:
        for key, _ in choices[:4]:
            assert colour_wells(key, plate_map, two_low, basis.run, metric_set).key == key


@pytest.mark.parametrize("key", ["", "metric:none", "class:dose", "colour"])
def test_an_unknown_colour_is_refused(two_low, key):
    with pytest.raises(BadValue, match="choose from the list"):
        colouring(two_low, key)


# --- before signing -----------------------------------------------------------------------------------------


@pytest.fixture
def toxic(scientist):
    """A plate of 8 x 12 wells where most fields of compound X, in column 6 and row C, fall out."""
    experiment = make_experiment(scientist, rows=8, columns=12, sites=2)
    random = np.random.default_rng(4)
    wells = list(Well.objects.order_by("id"))
    for well, compound in zip(wells, random.permutation(["X"] * 8 + ["DMSO"] * 88), strict=True):
        well.treatment = {"compound": compound}
    Well.objects.bulk_update(wells, ["treatment"])
    in_x = np.repeat([well.treatment["compound"] == "X" for well in wells], 2)
    add_scores(experiment, by=scientist, scores=np.where(in_x, -0.7, np.where(random.random(192) < 0.04, -0.6, -0.45)))
    save_cutoff_at(experiment, -0.5, by=scientist)
    return experiment


def test_a_draft_names_the_compound_that_loses_its_fields_and_keeps_saying_so(toxic, scientist):
    draft = draft_qc_set(toxic, by=scientist)
    assert draft.warnings[0].startswith("compound X loses 100 % of its fields (16 in 8 wells)")
    assert "A strange phenotype is not a bad image" in draft.warnings[0]
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I looked.")
    draft.refresh_from_db()
    assert draft.warnings[0].startswith("compound X")


def test_empty_wells_are_lost_by_design(toxic, scientist):
    Well.objects.filter(treatment__compound="X").update(role="empty")
    assert warnings_of(map_of(toxic, losses_by_cutoff(toxic, basis_of(toxic)))) == []
