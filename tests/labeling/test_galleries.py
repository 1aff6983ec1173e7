"""Filters and orders over all images, against an oracle in plain Python that looks at each image by itself."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.models import Image, ImageReason, Label, Well
from labeling.problems import BadValue, Conflict
from labeling.services.cutoffs import choose_cutoff, flagged_rows
from labeling.services.gallery import read_page
from labeling.services.image_filters import NAMES, ImageFilter, meanings_of, written
from labeling.services.image_masks import Gallery
from labeling.services.image_orders import Order
from labeling.services.image_tables import disputed_images, image_table
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.rules import Condition
from labeling.services.run_tables import metric_values, run_table
from tests.factories import add_blended_scores, add_scores, make_experiment

DNA, ER = "CellQC_SaturatedPercent_DNA", "CellQC_SaturatedPercent_ER"
PAGE = 5


@pytest.fixture
def world(db, scientist, second_scientist):
    """Two plates of 12 images with treatments, labels of two people, tied scores, and two images added later."""
    experiment = make_experiment(scientist, plates=("P1", "P2"))
    Well.objects.filter(row=1, column=1).update(role="control", control_class="DMSO", treatment={"compound": "DMSO"})
    Well.objects.filter(column=2).update(treatment={"compound": "X", "dose": 3})
    Well.objects.filter(row=2, column=3).update(role="empty", treatment={"compound": "X", "dose": 10})
    run = add_scores(experiment, by=scientist, scores=np.round(np.random.default_rng(2).uniform(-0.7, -0.4, 24), 2))
    blended = add_blended_scores(experiment, by=scientist)
    well = Well.objects.filter(plate__experiment=experiment).last()
    for site in (8, 9):
        Image.objects.create(experiment=experiment, plate=well.plate, well=well, site=site)
    images = list(experiment.images.order_by("id"))
    for n, verdict in enumerate(["bad", "good", "unsure", "bad", "good", "bad"]):
        defects = ("fibre", "blur")[: n % 3] if verdict == "bad" else ()
        label_images([NewLabel(images[3 * n].pk, verdict, defects)], by=scientist)
    label_images([NewLabel(images[0].pk, "good"), NewLabel(images[-1].pk, "bad", ("debris",))], by=second_scientist)
    label_images([NewLabel(images[7].pk, "bad")], by=second_scientist)
    undo_label(images[7], by=second_scientist)
    choice = choose_cutoff(run, value=-0.55, conditions=[Condition.of(column=DNA, low=-1)])
    return SimpleNamespace(
        experiment=experiment,
        gallery=Gallery.of(experiment, run, choice, blended),
        facts=facts_of(experiment, run, choice),
    )


def facts_of(experiment, run, choice) -> list[dict]:
    """What is known of each image, read one by one."""
    scores = dict(run.scores.values_list("image_id", "score"))
    ids, flagged = run_table(run.pk).image_ids.tolist(), flagged_rows(run, choice).tolist()
    sides = dict(zip(ids, flagged, strict=True))
    metrics = {
        (column, unit): dict(zip(ids, metric_values(run.pk, column, unit).tolist(), strict=True))
        for column in (DNA, ER)
        for unit in ("raw", "z")
    }
    found = []
    for image in experiment.images.with_place().order_by("id"):
        newest = Label.objects.filter(image=image).order_by("-id").first()
        newest = newest if newest and newest.is_in_force else None
        words: dict[int, str] = {}
        for label in Label.objects.not_undone_on([image.pk]).get(image.pk, []):
            words[label.by_id] = label.verdict
        labels = {newest.verdict if newest else "none"} | ({"disagree"} if len(set(words.values())) > 1 else set())
        side = "unscored" if image.pk not in sides else "flagged" if sides[image.pk] else "kept"
        well = image.well
        found.append(
            {
                "id": image.pk,
                "plate": {image.plate.barcode},
                "well": {well.name},
                "row": {"AB"[well.row - 1]},
                "column": {str(well.column)},
                "site": {str(image.site)},
                "role": {well.role},
                "classes": {name: str(value) for name, value in well.treatment.items()}
                | ({"control class": well.control_class} if well.control_class else {}),
                "label": labels,
                "person": {newest.by.username} if newest else set(),
                "defect": set(newest.defects) if newest else set(),
                "side": {side},
                "score": scores.get(image.pk, math.nan),
                "metrics": {key: values.get(image.pk, math.nan) for key, values in metrics.items()},
                "newest": newest.pk if newest else 0,
                "place": (image.plate.barcode, well.row, well.column, image.site),
            }
        )
    return found


def passes(fact: dict, asked: dict[str, list[str]]) -> bool:
    """The rule in plain Python: any value of a filter, every filter; of treatments and metrics each its own."""
    for name, texts in asked.items():
        if name == "treatment":
            said = [text.split("=") for text in texts]
            groups = {field: [value for other, value in said if other == field] for field, _ in said}
            if not all(fact["classes"].get(field) in values for field, values in groups.items()):
                return False
        elif name == "metric":
            groups = {}
            for text in texts:
                unit, low, high, column = text.split(",")
                value = fact["metrics"][column, unit]
                within = float(low or "-inf") <= value <= float(high or "inf")
                groups[column, unit] = groups.get((column, unit), False) or within
            if not all(groups.values()):
                return False
        elif not fact[name] & set(texts):
            return False
    return True


def walk(gallery, wanted, order, *, between=None) -> tuple[list[int], set[int]]:
    """All images page after page, and the totals the pages told."""
    seen, totals, after = [], set(), None
    for _ in range(20):  # a list that repeats itself would go on for ever
        page = read_page(gallery, wanted, order, limit=PAGE, after=after)
        assert between or page.first == len(seen) + 1
        ids = [tile.image.pk for tile in page.tiles]
        seen += ids
        totals.add(page.total)
        after, order = page.next, page.order
        if after is None:
            return seen, totals
        if between:
            between(ids)
    raise AssertionError("the gallery does not end")


ASKED = st.fixed_dictionaries(
    {},
    optional={
        "plate": st.lists(st.sampled_from(["P1", "P2", "P3"]), min_size=1, max_size=2, unique=True),
        "well": st.lists(st.sampled_from(["A01", "B02", "B03", "H12"]), min_size=1, max_size=2, unique=True),
        "row": st.lists(st.sampled_from(["A", "B"]), min_size=1, max_size=2, unique=True),
        "column": st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=2, unique=True),
        "site": st.lists(st.sampled_from(["1", "2", "9"]), min_size=1, max_size=2, unique=True),
        "role": st.lists(st.sampled_from(["sample", "control", "empty"]), min_size=1, max_size=2, unique=True),
        "treatment": st.lists(
            st.sampled_from(["compound=X", "compound=DMSO", "dose=3", "dose=10", "control class=DMSO", "colour=red"]),
            min_size=1,
            max_size=2,
            unique=True,
        ),
        "metric": st.lists(
            st.sampled_from([f"raw,,0.3,{DNA}", f"raw,1.0,,{DNA}", f"z,-0.5,1.5,{ER}", f"raw,-1.0,0.0,{ER}"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "label": st.lists(
            st.sampled_from(["good", "bad", "unsure", "none", "disagree"]), min_size=1, max_size=3, unique=True
        ),
        "person": st.lists(st.sampled_from(["grace", "rosa", "nobody"]), min_size=1, max_size=2, unique=True),
        "defect": st.lists(st.sampled_from(["fibre", "blur", "debris"]), min_size=1, max_size=2, unique=True),
        "side": st.lists(st.sampled_from(["flagged", "kept", "unscored"]), min_size=1, max_size=2, unique=True),
    },
).map(lambda asked: dict(list(asked.items())[:4]))
ORDERS = st.sampled_from(
    [
        *(Order(name) for name in ("worst", "best", "nearest", "place", "newest", "uncertain", "disagreement")),
        *(Order("random", seed=seed) for seed in (1, 2, 10**17)),
        Order("lowest", metric=("raw", DNA)),
        Order("highest", metric=("z", ER)),
    ]
)


def test_count_shown_is_images_reached_for_any_filter_and_order(world):
    @settings(max_examples=150)
    @given(ASKED, ORDERS)
    def check(asked, order):
        expected = {fact["id"] for fact in world.facts if passes(fact, asked)}
        wanted = ImageFilter.parse(asked)
        assert ImageFilter.parse(wanted.as_query()) == wanted
        seen, totals = walk(world.gallery, wanted, order)
        assert totals == {len(expected)}
        assert len(seen) == len(set(seen))
        assert set(seen) == expected
        mask = world.gallery.matching(wanted)
        assert set(world.gallery.table.image_ids[mask].tolist()) == expected

    check()


# What each order lines up by, ascending; images it knows nothing of come last, equal ones by id.
KEYS = {
    "worst": lambda fact: fact["score"],
    "best": lambda fact: -fact["score"],
    "nearest": lambda fact: abs(fact["score"] + 0.55),
    "newest": lambda fact: -fact["newest"] or math.nan,
    "lowest": lambda fact: fact["metrics"][DNA, "raw"],
    "highest": lambda fact: -fact["metrics"][DNA, "raw"],
}


@pytest.mark.parametrize("name", KEYS)
def test_orders_begin_where_they_say(world, name):
    order = Order(name, metric=("raw", DNA) if name in ("lowest", "highest") else None)
    seen, _ = walk(world.gallery, ImageFilter(), order)
    keys = {fact["id"]: KEYS[name](fact) for fact in world.facts}
    assert seen == sorted(keys, key=lambda pk: (math.isnan(keys[pk]), keys[pk] if keys[pk] == keys[pk] else 0, pk))


def test_by_place_goes_through_plates_as_people_do(world):
    seen, _ = walk(world.gallery, ImageFilter(), Order("place"))
    assert seen == [fact["id"] for fact in sorted(world.facts, key=lambda fact: fact["place"])]


def test_what_a_model_knows_least_comes_first(world):
    seen, _ = walk(world.gallery, ImageFilter(), Order("uncertain"))
    good = dict(world.gallery.blended.scores.values_list("image_id", "score"))
    distances = [abs(good[pk] - 0.5) for pk in seen if pk in good]
    assert all(a <= b + 1e-6 for a, b in pairwise(distances))
    assert set(seen[-2:]) == {fact["id"] for fact in world.facts} - set(good)


def test_a_sample_is_the_same_for_a_seed_and_no_image_that_comes_in_shuffles_it(world):
    first, _ = walk(world.gallery, ImageFilter(), Order("random", seed=7))
    other, _ = walk(world.gallery, ImageFilter(), Order("random", seed=8))
    assert first != other
    image = world.experiment.images.last()
    late = Image.objects.create(experiment=world.experiment, plate=image.plate, well=image.well, site=30)
    again, _ = walk(Gallery.of(world.experiment), ImageFilter(), Order("random", seed=7))
    assert [pk for pk in again if pk != late.pk] == first


@pytest.mark.parametrize("order", [Order("worst"), Order("newest"), Order("random")], ids=lambda order: order.name)
@pytest.mark.parametrize("label", [(), ("none",), ("bad", "none")])
def test_labels_given_while_somebody_pages_skip_and_repeat_nothing(world, scientist, order, label):
    wanted = ImageFilter(label=label)
    expected = {fact["id"] for fact in world.facts if not label or fact["label"] & set(label)}

    def label_all_shown(ids):
        label_images([NewLabel(pk, "good") for pk in ids], by=scientist)

    seen, _ = walk(world.gallery, wanted, order, between=label_all_shown)
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_images_without_a_score_are_told_of_wherever_they_are(world):
    n = len(world.facts)
    page = read_page(world.gallery, ImageFilter(), Order("worst"), limit=n)
    assert (page.total, page.n_at_end, page.n_left_out) == (26, 2, 0)
    assert [tile.score for tile in page.tiles[-2:]] == [None, None]
    assert [tile.flagged for tile in page.tiles[-2:]] == [None, None]
    kept = read_page(world.gallery, ImageFilter(side=("kept",), plate=("P2",)), Order("worst"), limit=n)
    assert (kept.n_at_end, kept.n_left_out) == (0, 2)
    theirs = read_page(world.gallery, ImageFilter(side=("unscored",)), Order("place"), limit=n)
    assert (theirs.total, theirs.n_at_end, theirs.n_left_out) == (2, 0, 0)


def test_where_nothing_matches_it_says_which_filter_to_take_off(world):
    wanted = ImageFilter.parse({"plate": ["P1"], "site": ["9"], "role": ["empty"]})
    page = read_page(world.gallery, wanted, Order("worst"), limit=PAGE)
    assert (page.total, page.next, page.tiles) == (0, None, [])
    assert dict(page.instead) == {"site": 2, "plate": 1}
    hopeless = ImageFilter.parse({"plate": ["P9"], "well": ["H12"], "person": ["nobody"]})
    assert read_page(world.gallery, hopeless, Order("worst"), limit=PAGE).instead == []


def test_ids_of_a_filter_are_those_of_its_pages(world):
    gallery, wanted = world.gallery, ImageFilter.parse({"side": ["flagged"], "treatment": ["compound=X"]})
    ids = gallery.matching_ids(wanted)
    seen, _ = walk(gallery, wanted, Order("best"))
    assert ids.tolist() == sorted(seen)
    assert len(ids)


def test_before_scoring_places_and_labels_can_be_asked_for(scientist):
    experiment = make_experiment(scientist)
    gallery = Gallery.of(experiment)
    page = read_page(gallery, ImageFilter.parse({"row": ["A"]}), Order("place"), limit=60)
    assert (page.total, page.n_left_out, page.n_at_end) == (6, 0, 0)
    for asked, order in (({"side": ["kept"]}, "place"), ({"metric": [f"raw,1,,{DNA}"]}, "place"), ({}, "worst")):
        with pytest.raises(Conflict):
            read_page(gallery, ImageFilter.parse(asked), Order(order), limit=60)


def test_a_plate_map_and_new_images_are_seen_at_once(world):
    experiment = world.experiment
    before = image_table(experiment)
    assert image_table(experiment) is before
    Well.objects.filter(plate__experiment=experiment, row=2).update(treatment={"compound": "New"})
    assert len(Gallery.of(experiment).matching_ids(ImageFilter.parse({"treatment": ["compound=New"]}))) == 14
    image = experiment.images.last()
    Image.objects.create(experiment=experiment, plate=image.plate, well=image.well, site=30)
    assert len(Gallery.of(experiment).matching_ids(ImageFilter.parse({"treatment": ["compound=New"]}))) == 15


def test_a_tile_and_the_filter_mean_the_same_by_disagreement(world, scientist, second_scientist):
    images = list(world.experiment.images.order_by("id"))
    random = np.random.default_rng(8)
    for _ in range(60):
        image, by = images[random.integers(8)], (scientist, second_scientist)[random.integers(2)]
        label_images([NewLabel(image.pk, ("good", "bad", "unsure")[random.integers(3)])], by=by)
    in_force = Label.objects.on([image.pk for image in images])
    marked = sorted(pk for pk, label in in_force.items() if label.is_disputed)
    assert disputed_images(world.experiment).tolist() == marked
    assert 0 < len(marked) < len(in_force)


def test_a_tile_of_the_gallery_says_what_speaks_against_it(world):
    worst = read_page(world.gallery, ImageFilter(), Order("worst"), limit=1).tiles[0].image
    ImageReason.objects.create(
        run=world.gallery.run, image=worst, rank=1, code="blur", column=DNA, strength=1.0, words="DNA channel blurrier"
    )
    first, second = read_page(world.gallery, ImageFilter(), Order("worst"), limit=2).tiles
    assert (first.why, second.why) == ("DNA channel blurrier", "")


def test_who_takes_a_word_back_disputes_nothing(world, scientist, second_scientist):
    images = list(world.experiment.images.order_by("id"))
    assert disputed_images(world.experiment).tolist() == [images[0].pk]
    undo_label(images[0], by=second_scientist)
    assert disputed_images(world.experiment).tolist() == []
    label_images([NewLabel(images[3].pk, "bad")], by=second_scientist)  # grace said good, and now agrees
    label_images([NewLabel(images[3].pk, "bad")], by=scientist)
    assert disputed_images(world.experiment).tolist() == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("b02", [("well", "B02")]),
        ("well B2", [("well", "B02")]),
        ("H12", []),
        ("row b", [("row", "B")]),
        ("col 3", [("column", "3")]),
        ("s2", [("site", "2")]),
        ("P1", [("plate", "P1")]),
        ("dmso", [("treatment", "control class=DMSO"), ("treatment", "compound=DMSO")]),
        ("compound dmso", [("treatment", "compound=DMSO")]),
        ("Compound=X", [("treatment", "compound=X")]),
        ("labelled bad", [("label", "bad")]),
        ("not labelled", [("label", "none")]),
        ("people disagree", [("label", "disagree")]),
        ("empty", [("role", "empty"), ("defect", "empty")]),
        ("controls", [("role", "control")]),
        ("Rosa Well", [("person", "rosa")]),
        ("not scored", [("side", "unscored")]),
        ("  ", []),
        ("beauty", []),
    ],
)
def test_a_typed_word_means_what_people_would_say(world, scientist, second_scientist, typed, meant):
    assert meanings_of(typed, world.gallery.table.wells, [scientist, second_scientist]) == meant


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("well", "hello", "'hello' is not a well"),
        ("row", "7B", "'7B' is not a row"),
        ("column", "99", "Column 99 is on no plate"),
        ("site", "x", "'x' is no site; sites are numbers."),
        ("role", "poscon", "'poscon' is no role; use sample, control or empty."),
        ("treatment", "DMSO", "it reads field=value, such as compound=DMSO."),
        ("metric", "5", "is no condition; it reads unit,low,high,metric."),
        ("label", "great", "'great' is no label; use good, bad, unsure, none or disagree."),
        ("defect", "ugly", "'ugly' is no defect"),
        ("side", "left", "'left' is no side; use flagged, kept or unscored."),
    ],
)
def test_a_filter_that_makes_no_sense_gives_a_sentence(name, text, sentence):
    with pytest.raises(BadValue, match=sentence.replace("(", r"\(")):
        ImageFilter.parse({name: [text]})


def test_wells_and_rows_may_be_listed_as_people_type_them():
    wanted = ImageFilter.parse({"well": ["b2, A01;A1"], "row": ["A C"], "plate": ["", "P 1, old"]})
    assert [written("well", one) for one in wanted.well] == ["B02", "A01"]
    assert (wanted.row, wanted.plate) == ((1, 3), ("P 1, old",))
    assert set(NAMES) >= set(wanted.used) == {"plate", "well", "row"}
