"""The plates page: a map of every plate, what is odd, and the fields of a well."""

from __future__ import annotations

import re

import pytest

from labeling.models import Image, Well
from labeling.services.cutoffs import choose_cutoff, save_cutoff
from labeling.services.rules import Condition
from labeling.services.run_tables import metric_values, run_table
from tests.factories import add_scores, make_experiment, save_cutoff_at
from tests.labeling.pages.conftest import HTMX, text_of

SATURATED = "CellQC_SaturatedPercent_DNA"


def plates(client, experiment, query="", **options):
    return client.get(f"/experiments/{experiment.pk}/plates/{query}", **options)


def tiles(response) -> list[int]:
    return [int(pk) for pk in re.findall(r'<figure class="tile [^>]*data-image="(\d+)"', text_of(response))]


def test_before_ingest_there_is_a_next_step(scientist, as_scientist):
    experiment = make_experiment(scientist, rows=0)
    assert "There are no plates yet" in text_of(plates(as_scientist, experiment))


def test_before_scoring_the_wells_are_there(scientist, as_scientist):
    response = plates(as_scientist, make_experiment(scientist))
    assert response.status_code == 200
    assert text_of(response).count("data-well=") == 6
    assert "not scored yet" in text_of(response)


def test_every_well_of_every_plate_is_a_link_that_says_what_it_is(scientist, as_scientist):
    experiment = make_experiment(scientist, plates=("0412", "0413"))
    add_scores(experiment, by=scientist, scores=[-0.7] + [-0.45] * 23)
    Well.objects.filter(row=1, column=1).update(role="control", control_class="M0", treatment={"compound": "DMSO"})
    page = text_of(plates(as_scientist, experiment))
    assert page.count("data-well=") == 12
    assert "A01 · control M0 · compound DMSO · 1 of 2 fields fall out (50 %)" in page
    assert page.count('class="well-control"') == 3  # two wells and the legend


def test_a_well_shows_its_fields_the_worst_first(experiment, as_scientist):
    well = Well.objects.first()
    for options in ({}, {"headers": HTMX}):
        response = plates(as_scientist, experiment, f"?well={well.pk}", **options)
        expected = list(Image.objects.filter(well=well).order_by("scores__score").values_list("id", flat=True))
        assert tiles(response) == expected
    assert "<html" not in text_of(response)


def test_before_scoring_a_well_shows_its_fields_too(scientist, as_scientist):
    well = make_experiment(scientist).plates.first().wells.first()
    shown = tiles(plates(as_scientist, well.plate.experiment, f"?well={well.pk}"))
    assert shown == list(well.images.order_by("site").values_list("id", flat=True))
    assert shown


def test_fields_are_flagged_by_the_whole_rule_as_in_review(experiment, scientist, as_scientist):
    """A condition beside the score flags here, too, and a tile does not change its side when it is labelled."""
    run, well = experiment.score_runs.get(), Well.objects.first()
    first, second = well.images.order_by("id")
    values = metric_values(run.pk, SATURATED, "raw")
    value_of = {image.pk: float(values[run_table(run.pk).row_of(image.pk)]) for image in (first, second)}
    limit = sum(value_of.values()) / 2
    rule = choose_cutoff(run, unused=1, conditions=[Condition(SATURATED, "raw", None, limit)])
    save_cutoff(run, rule, by=scientist, reason="saturation only")
    page = text_of(plates(as_scientist, experiment, f"?well={well.pk}", headers=HTMX))
    flagged = {int(pk) for pk in re.findall(r'class="tile [^"]*is-flagged[^"]*"[^>]*data-image="(\d+)"', page)}
    assert flagged == {pk for pk, value in value_of.items() if value > limit}
    assert len(flagged) == 1


def test_a_class_shows_the_fields_of_its_wells(experiment, as_scientist):
    Well.objects.filter(column=2).update(treatment={"compound": "<X & Y>"})
    response = plates(as_scientist, experiment, "?field=compound&value=%3CX+%26+Y%3E")
    assert sorted(tiles(response)) == sorted(Image.objects.filter(well__column=2).values_list("id", flat=True))
    assert "compound &lt;X &amp; Y&gt;" in text_of(response)
    assert text_of(response).count("is-marked") == 2


def test_fields_without_a_score_are_shown_last(experiment, as_scientist):
    well = Well.objects.first()
    late = Image.objects.create(experiment=experiment, plate=well.plate, well=well, site=9)
    assert tiles(plates(as_scientist, experiment, f"?well={well.pk}"))[-1] == late.pk


@pytest.mark.parametrize("query", ["?colour=taste", "?well=x", f"?well={2**63}"])
def test_what_is_not_there_is_said(experiment, as_scientist, query):
    assert plates(as_scientist, experiment, query).status_code == 400


def test_a_well_of_another_experiment_is_not_found(experiment, scientist, as_scientist):
    other = make_experiment(scientist, name="other")
    assert plates(as_scientist, experiment, f"?well={other.plates.get().wells.first().pk}").status_code == 404


def test_outsider_cannot_see_plates(experiment, as_outsider):
    assert plates(as_outsider, experiment).status_code == 403


def test_what_a_treatment_loses_is_named_with_a_link_to_its_fields(scientist, as_scientist):
    experiment = make_experiment(scientist, rows=8, columns=12, sites=1)
    Well.objects.filter(row__in=(3, 6), column__in=(2, 5, 8, 11)).update(treatment={"compound": "X"})
    Well.objects.exclude(treatment={"compound": "X"}).update(treatment={"compound": "DMSO"})
    toxic = Image.objects.order_by("id").values_list("well__treatment__compound", flat=True)
    add_scores(experiment, by=scientist, scores=[-0.7 if compound == "X" else -0.45 for compound in toxic])
    save_cutoff_at(experiment, -0.5, by=scientist)
    page = text_of(plates(as_scientist, experiment))
    assert "compound X loses 100 % of its fields (8 in 8 wells)" in page
    assert "?field=compound&amp;value=X#fields" in page
