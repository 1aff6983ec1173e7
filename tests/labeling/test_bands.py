"""What people see for a cutoff: every image in exactly one band, every page going on where the last ended."""

from __future__ import annotations

import pytest

from labeling.models import ScoreRun
from labeling.problems import BadValue
from labeling.services.bands import Axis, Position, read_band, rules_for, views_of
from labeling.services.cutoffs import CutoffChoice, flagged_rows
from labeling.services.labels import NewLabel, label_images
from labeling.services.run_tables import run_table
from labeling.services.scores import scores_of
from tests.factories import add_scores, make_experiment

# 48 images on few values, so that ties lie across the pages, and none is a round number in binary.
LADDER = [-0.7, -0.65, -0.6, -0.55, -0.55, -0.55, -0.55, -0.5, -0.5, -0.45, -0.4, -0.4] * 4


@pytest.fixture
def run(scientist):
    experiment = make_experiment(scientist, rows=4, columns=6, sites=2)
    return add_scores(experiment, by=scientist, scores=LADDER)


def at(cutoff):
    return CutoffChoice(cutoff, "by hand")


def rules_at(run, cutoff, saved=None):
    return rules_for(run, at(cutoff), None if saved is None else at(saved))


def read(run, rule, cutoff, *, limit, after=None):
    return read_band(Axis(run), rule, flagged_rows(run, at(cutoff)), limit=limit, after=after)


def walk(run, rule, cutoff, *, limit):
    """All tiles of a band, page after page, by the address of each next page."""
    tiles, after, pages = [], None, 0
    while True:
        band = read(run, rule, cutoff, limit=limit, after=after)
        tiles += band.tiles
        pages += 1
        assert pages < 100, "the pages go round in circles"
        if band.next is None:
            return tiles, band.total
        assert len(band.tiles) == limit
        after = Position.parse(str(band.next))


def cutoffs(run):
    stored = sorted(set(scores_of(run.pk).ascending.tolist()))
    return [-2.0, *stored, -0.52, stored[-1] + 1]


@pytest.mark.parametrize("limit", [1, 3, 7, 60])
def test_paging_through_all_bands_shows_every_image_exactly_once(run, limit):
    everything = set(run.scores.values_list("image", flat=True))
    for cutoff in cutoffs(run):
        seen, totals = [], 0
        for rule in rules_at(run, cutoff).values():
            tiles, total = walk(run, rule, cutoff, limit=limit)
            assert len(tiles) == total, (cutoff, rule.name)
            seen += [tile.image.pk for tile in tiles]
            totals += total
        assert len(seen) == totals == len(everything)
        assert set(seen) == everything


def test_bands_run_each_from_its_own_end(run):
    rules = rules_at(run, -0.52)
    assert list(rules) == ["bad", "good", "best"]
    bad = [tile.score for tile in walk(run, rules["bad"], -0.52, limit=5)[0]]
    good = [tile.score for tile in walk(run, rules["good"], -0.52, limit=5)[0]]
    best = [tile.score for tile in walk(run, rules["best"], -0.52, limit=5)[0]]
    assert bad == sorted(bad)
    assert good == sorted(good)
    assert best == sorted(best, reverse=True)
    assert max(bad) < -0.52 <= min(good)
    assert max(good) < min(best)


def test_the_best_are_about_seven_percent_of_the_kept(scientist):
    experiment = make_experiment(scientist, rows=10, columns=10, sites=1)
    run = add_scores(experiment, by=scientist)
    scores = scores_of(run.pk)
    cutoff = scores.value_flagging(0)
    assert read(run, rules_at(run, cutoff)["best"], cutoff, limit=60).total == 7


def test_nothing_is_best_when_nothing_is_kept(run):
    rules = rules_at(run, 5.0)
    assert [read(run, rule, 5.0, limit=3).total for rule in rules.values()] == [48, 0, 0]


def test_the_best_never_begin_below_the_cutoff(run):
    for cutoff in cutoffs(run):
        best = walk(run, rules_at(run, cutoff)["best"], cutoff, limit=20)[0]
        assert all(tile.score >= cutoff for tile in best)


@pytest.mark.parametrize(
    ("saved", "cutoff", "name", "title"),
    [(-0.6, -0.5, "out", "Would fall out"), (-0.5, -0.6, "back", "Would come back")],
)
def test_changes_are_what_lies_between_the_two_cutoffs(run, saved, cutoff, name, title):
    rules = rules_at(run, cutoff, saved)
    assert list(rules) == [name, "bad", "good", "best"]
    tiles, total = walk(run, rules[name], cutoff, limit=4)
    assert rules[name].title == title
    assert total == len(tiles) == scores_of(run.pk).n_below(-0.5) - scores_of(run.pk).n_below(-0.6)
    assert len({tile.image.pk for tile in tiles}) == total > 0
    assert all(-0.6 <= tile.score < -0.5 for tile in tiles)
    assert {tile.flagged for tile in tiles} == {cutoff > saved}


@pytest.mark.parametrize("saved", [None, -0.5])
def test_there_are_no_changes_without_a_difference(run, saved):
    assert list(rules_at(run, -0.5, saved)) == ["bad", "good", "best"]


def test_tiles_carry_the_label_in_force(run, scientist):
    image = run.scores.order_by("score", "image_id").first().image
    label_images([NewLabel(image.pk, "bad", ("blur",))], by=scientist)
    tiles = read(run, rules_at(run, -0.5)["bad"], -0.5, limit=2).tiles
    assert (tiles[0].image, tiles[0].label.verdict) == (image, "bad")
    assert tiles[1].label is None


def test_only_images_of_the_run_are_shown(run, scientist):
    other = make_experiment(scientist, name="Other", plates=("9",))
    add_scores(other, by=scientist)
    rules = rules_at(run, 5.0)
    tiles, _ = walk(run, rules["bad"], 5.0, limit=60)
    assert {tile.image.experiment_id for tile in tiles} == {run.experiment_id}


def test_a_band_costs_three_queries_on_every_page(run, django_assert_num_queries):
    run_table(run.pk)  # read once a process
    rule = rules_at(run, -0.5)["bad"]
    first = read(run, rule, -0.5, limit=5)
    for after in (None, first.next):
        with django_assert_num_queries(3):  # the tiles, their labels, what speaks against them
            band = read(run, rule, -0.5, limit=5, after=after)
            assert [tile.image.place for tile in band.tiles]


@pytest.mark.parametrize(
    "text", ["", "-0.5", "-0.5,", ",5", "a,b", "nan,5", "inf,5", "-0.5,-1", "-0.5,1e3", f"-0.5,{10**20}", "1,2,3"]
)
def test_a_position_that_is_none_is_refused_in_a_sentence(text):
    with pytest.raises(BadValue, match="is no position in a band; reload the page"):
        Position.parse(text)


def test_a_position_survives_its_own_text():
    position = Position(-0.10000000149011612, 17)
    assert Position.parse(str(position)) == position


def test_views_are_the_colour_picture_and_the_channels(scientist):
    several = make_experiment(scientist).channels.all()
    assert views_of(list(several)) == [("composite", "Colour"), ("0", "DNA"), ("1", "ER")]
    one = make_experiment(scientist, name="One", channels=("DNA",)).channels.all()
    assert views_of(list(one)) == [("0", "DNA")]


def test_runs_are_told_apart(experiment, scientist):
    again = add_scores(experiment, by=scientist, seed=2)
    first = ScoreRun.objects.order_by("id").first()
    for run in (first, again):
        rule = rules_at(run, 5.0)["bad"]
        assert read(run, rule, 5.0, limit=60).total == 12
