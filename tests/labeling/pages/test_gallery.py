"""The gallery page: filters as a form and as chips, page after page, and the ways that lead into it."""

from __future__ import annotations

import html
import re

import pytest

from labeling.models import Image, User, Well
from labeling.services.labels import NewLabel, label_images
from tests.factories import add_blended_scores, make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.pages.conftest import HTMX, text_of

QUERIES = 17
SATURATED = "CellQC_SaturatedPercent_DNA"


def gallery(client, experiment, query="", **options):
    return client.get(f"/experiments/{experiment.pk}/images/{query}", **options)


def tiles(response) -> list[int]:
    return [int(pk) for pk in re.findall(r'<figure class="tile [^>]*data-image="(\d+)"', text_of(response))]


def chips(response) -> dict[str, str]:
    """The filters that are on, and the address without each."""
    found = re.findall(r'<span class="chip"[^>]*>([^<]+)<a href="([^"]+)"', text_of(response))
    return {html.unescape(words): html.unescape(address) for words, address in found}


@pytest.fixture
def large(scientist):
    """160 scored images of two plates; column 2 holds compound X."""
    experiment = make_scored_experiment(scientist, plates=("0412", "0413"), rows=8, columns=5)
    Well.objects.filter(plate__experiment=experiment, column=2).update(treatment={"compound": "X & <Y>"})
    return experiment


def test_every_image_is_there_page_after_page(large, as_scientist):
    response, seen = gallery(as_scientist, large), []
    assert '<b id="n-matching">160</b>' in text_of(response)
    for _ in range(5):
        seen += tiles(response)
        more = re.search(r'class="button" href="(\?[^"]+)" hx-get', text_of(response))
        if not more:
            break
        response = gallery(as_scientist, large, html.unescape(more[1]), headers=HTMX)
        assert "<html" not in text_of(response)
    by_score = Image.objects.filter(experiment=large).order_by("scores__score", "id").values_list("id", flat=True)
    assert seen == list(by_score)
    assert "That is the last one" in text_of(response)


def test_next_pages_are_plain_links_too(large, as_scientist):
    after = tiles(gallery(as_scientist, large))[-1]
    response = gallery(as_scientist, large, f"?order=worst&after={after}")
    assert len(tiles(response)) == 60
    assert "61 to 120 of 160" in text_of(response)
    assert "From the beginning" in text_of(response)


def test_filters_are_chips_that_come_off(large, as_scientist):
    response = gallery(as_scientist, large, "?plate=0412&treatment=compound%3DX+%26+%3CY%3E&row=A&row=B&order=best")
    assert len(tiles(response)) == 4
    off = chips(response)
    assert list(off) == ["plate 0412", "row A", "row B", "compound X & <Y>"]
    assert len(tiles(gallery(as_scientist, large, off["row A"]))) == 2
    without = gallery(as_scientist, large, off["compound X & <Y>"])
    assert len(tiles(without)) == 20
    assert without.context["order"].name == "best"


def test_a_form_makes_a_short_address(large, as_scientist):
    form = "?form=1&find=&plate=0413&role=&label=none&metric_column=x&unit=raw&at_least=&at_most=&order=worst&also="
    response = gallery(as_scientist, large, form, follow=False)
    assert response.status_code == 302
    assert response["Location"] == f"/experiments/{large.pk}/images/?plate=0413&label=none&order=worst&also="


def test_what_is_typed_becomes_a_filter(large, as_scientist):
    for typed, query in (("x & <y>", "treatment=compound%3DX+%26+%3CY%3E"), ("row c", "row=C"), ("bad", "label=bad")):
        response = as_scientist.get(f"/experiments/{large.pk}/images/", {"find": typed, "form": "1"})
        assert response["Location"].endswith(f"?{query}&order=worst")


def test_a_word_with_two_meanings_is_asked_about_and_an_unknown_one_is_told(large, as_scientist):
    asked = gallery(as_scientist, large, "?find=empty&form=1&plate=0412")
    assert "“empty” may mean" in text_of(asked)
    assert "plate=0412&amp;role=empty&amp;order=worst" in text_of(asked)
    assert len(tiles(asked)) == 60
    assert "Nothing here is called “beauty”" in text_of(gallery(as_scientist, large, "?find=beauty"))


def test_limits_of_a_metric_and_an_order_by_it_come_from_the_form(large, as_scientist):
    form = {"form": "1", "metric_column": SATURATED, "unit": "z", "at_least": "0.5", "at_most": "", "order": "worst"}
    response = as_scientist.get(f"/experiments/{large.pk}/images/", form, follow=True)
    assert list(chips(response)) == ["saturated ≥ 0.5 robust SD in DNA"]
    assert response.context["page"].total < 160
    response = as_scientist.get(f"/experiments/{large.pk}/images/", form | {"sort": "highest"}, follow=True)
    values = [tile.metric for tile in response.context["page"].tiles]
    assert values == sorted(values, reverse=True)
    assert min(values) >= 0.5
    assert "highest saturated first" in text_of(response)


def test_empty_says_which_filter_to_take_off(large, as_scientist):
    response = gallery(as_scientist, large, "?plate=0412&column=2&label=bad")
    assert "No image matches all of this" in text_of(response)
    assert re.search(r"Without labelled bad</a>: 16 images", text_of(response))


def test_images_that_came_later_are_told_of(large, as_scientist):
    well = Well.objects.filter(plate__experiment=large).first()
    late = Image.objects.create(experiment=large, plate=well.plate, well=well, site=9)
    assert "have no side or metric" not in text_of(gallery(as_scientist, large))
    assert "has no score yet" in text_of(gallery(as_scientist, large))
    response = gallery(as_scientist, large, "?side=kept")
    address = re.search(r'but have no score.*?<a href="([^"]+)">Show them', text_of(response))
    assert tiles(gallery(as_scientist, large, html.unescape(address[1]))) == [late.pk]


def test_the_side_is_that_of_the_rule_in_the_address_or_the_saved_one(large, scientist, as_scientist):
    def n(query):
        return gallery(as_scientist, large, query).context["page"].total

    assert "by the automatic cutoff" not in text_of(gallery(as_scientist, large))
    assert "automatic cutoff flags; none is saved yet" in text_of(gallery(as_scientist, large))
    save_cutoff_at(large, -0.6, by=scientist)
    assert n("?side=flagged") + n("?side=kept") == 160
    assert n("?side=flagged&value=-0.4") == 160
    assert n("?side=flagged&percent=10") == 16
    assert "rule in this address" in text_of(gallery(as_scientist, large, "?side=flagged&percent=10"))


def test_orders_that_need_a_model_say_so_until_there_is_one(large, scientist, as_scientist):
    shown = text_of(gallery(as_scientist, large))
    assert 'value="uncertain"  disabled>least certain first (needs a model: label some images and train one)' in shown
    assert gallery(as_scientist, large, "?order=uncertain").status_code == 409
    add_blended_scores(large, by=scientist)
    shown = text_of(gallery(as_scientist, large, "?order=uncertain"))
    assert 'value="uncertain" selected >least certain first<' in shown


def test_before_scoring_images_can_be_looked_at(scientist, as_scientist):
    experiment = make_experiment(scientist)
    response = gallery(as_scientist, experiment)
    assert len(tiles(response)) == 12
    assert 'name="side"' not in text_of(response)
    assert "There are no images yet" in text_of(gallery(as_scientist, make_experiment(scientist, name="new", rows=0)))


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("?order=beauty", 400, "is no order; use worst, best"),
        ("?order=lowest", 400, "Say by which metric"),
        ("?order=lowest&by=raw,beauty", 400, "has no metric"),
        ("?order=random&seed=x", 400, "is no number of a sample"),
        ("?label=great", 400, "is no label; use good, bad"),
        ("?well=hello", 400, "is not a well"),
        ("?metric=5", 400, "is no condition"),
        ("?after=nowhere", 400, "to go on from; reload the page."),
        (f"?after={2**63}", 400, "to go on from; reload the page."),
        ("?after=1", 400, "There is no image 1 to go on from"),
        ("?score=blended", 400, "has no blended score yet"),
    ],
)
def test_a_bad_value_gives_a_sentence(experiment, as_scientist, query, status, sentence):
    for options in ({}, {"headers": HTMX}):
        response = gallery(as_scientist, experiment, query, **options)
        assert response.status_code == status
        assert sentence in html.unescape(text_of(response))


def test_the_look_of_tiles_is_remembered(experiment, scientist, as_scientist):
    gallery(as_scientist, experiment, "?size=96&view=1&contrast=own")
    person = User.objects.get(pk=scientist.pk)
    assert (person.tile_size, person.tile_view, person.tile_contrast) == (96, "1", "own")


def test_a_page_costs_the_same_for_many_images(scientist, as_scientist, django_assert_num_queries):
    asked = "?label=none&label=bad&person=grace&row=A&side=kept&treatment=compound%3DX"
    for columns in (6, 16):
        experiment = make_scored_experiment(scientist, name=str(columns), plates=(str(columns),), columns=columns)
        save_cutoff_at(experiment, -0.7, by=scientist)
        Well.objects.filter(plate__experiment=experiment).update(treatment={"compound": "X"})
        label_images([NewLabel(image.pk, "bad") for image in experiment.images.all()[:columns]], by=scientist)
        gallery(as_scientist, experiment)  # a process reads the numbers of a run and the places of images once
        # Session, person, roles; experiment, channels; runs of three kinds, models, cutoff; blended run;
        # whether images or wells changed; people; images, their labels.
        with django_assert_num_queries(QUERIES):
            gallery(as_scientist, experiment)
        with django_assert_num_queries(QUERIES + 3):  # and whether labels changed, those in force, the person
            assert len(tiles(gallery(as_scientist, experiment, asked))) == columns
        with django_assert_num_queries(QUERIES - 1):  # nobody chooses from people
            gallery(as_scientist, experiment, headers=HTMX)


# --- ways into it ---------------------------------------------------------------------------------------


def leads_to(response, words: str) -> str:
    """The address behind a link with these words."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>(?:<b>)?{words}', text_of(response))
    assert found, words
    return html.unescape(found[1])


def test_bands_of_review_lead_to_the_same_images(large, as_scientist):
    review = as_scientist.get(f"/experiments/{large.pk}/review/?percent=10")
    address = leads_to(review, "Filter these")
    assert as_scientist.get(address).context["page"].total == 16
    assert leads_to(review, "All images") == f"/experiments/{large.pk}/images/"


def test_a_well_its_row_its_column_and_its_treatment_lead_to_their_fields(large, as_scientist):
    well = Well.objects.get(plate__barcode="0412", row=3, column=2)
    plates = as_scientist.get(f"/experiments/{large.pk}/plates/?well={well.pk}")
    for words, n in (("this well", 2), ("row C", 10), ("column 2", 16), ("all compound X", 32)):
        assert as_scientist.get(leads_to(plates, words)).context["page"].total == n
    axis = re.search(r'<a href="([^"]+)" tabindex="-1" aria-label="All fields of row C">', text_of(plates))
    assert as_scientist.get(html.unescape(axis[1])).context["page"].total == 10
    of_class = as_scientist.get(f"/experiments/{large.pk}/plates/", {"field": "compound", "value": "X & <Y>"})
    assert as_scientist.get(leads_to(of_class, "all compound X")).context["page"].total == 32


def test_counts_of_the_overview_lead_to_what_they_count(large, scientist, as_scientist):
    save_cutoff_at(large, -0.6, by=scientist)
    label_images([NewLabel(image.pk, "bad") for image in large.images.all()[:3]], by=scientist)
    overview = as_scientist.get(f"/experiments/{large.pk}/")
    assert as_scientist.get(leads_to(overview, "160")).context["page"].total == 160
    assert as_scientist.get(leads_to(overview, "3")).context["page"].total == 3
    assert as_scientist.get(leads_to(overview, "0413")).context["page"].total == 80


def test_all_that_match_can_be_selected_also_those_of_other_pages(as_scientist, large):
    page = gallery(as_scientist, large, "?treatment=compound%3DX+%26+%3CY%3E")
    address = html.unescape(re.search(r'data-address="([^"]+)"', text_of(page))[1])
    named = as_scientist.get(address).json()["images"]
    meant = Image.objects.filter(experiment=large, well__column=2)
    assert {int(pk) for pk in named} == set(meant.values_list("pk", flat=True))
    assert f"Select all {len(named)}" in text_of(page)


def test_more_than_can_be_labelled_at_once_is_said_before(as_scientist, large, monkeypatch):
    monkeypatch.setattr("labeling.views.gallery.MOST_AT_ONCE", 100)
    response = as_scientist.get(f"/experiments/{large.pk}/images/matching/", headers={"X-Requested-With": "fetch"})
    assert response.status_code == 400
    assert text_of(response) == "160 images match; filter them to 100 or fewer to label them at once."
