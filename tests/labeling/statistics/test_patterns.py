"""Patterns on plates and classes that lose too much: found when there, silent by chance, exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.statistics.draws import Draws, chance_of_more, sums_of_coins, sums_of_draws
from labeling.statistics.guard import PlateOfClasses, losing_classes
from labeling.statistics.patterns import _sites, find_patterns
from labeling.statistics.wells import PlateCounts

N_SITES = 4


def a_plate(lost: np.ndarray, barcode: str = "0412") -> PlateCounts:
    """A plate whose fields (rows, columns, sites) fall out where `lost` is True."""
    n_rows, n_columns, n_sites = lost.shape
    rows, columns = (index.ravel() + 1 for index in np.indices((n_rows, n_columns)))
    flat = lost.reshape(-1, n_sites)
    there = np.ones(len(rows), int)
    return PlateCounts(
        barcode,
        n_rows,
        n_columns,
        rows,
        columns,
        np.full(len(rows), n_sites),
        flat.sum(axis=1),
        {site + 1: (there, flat[:, site].astype(int)) for site in range(n_sites)},
    )


def random_plate(random: np.random.Generator, shape: tuple[int, int, int] = (16, 24, N_SITES)) -> np.ndarray:
    """Fields that fall out by chance: some alone, and some wells (dried, empty) as a whole."""
    return (random.random(shape) < 0.04) | (random.random((*shape[:2], 1)) < 0.03)


# --- the exact distribution --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=1, max_size=7), st.data())
def test_sums_are_those_of_all_possible_draws(lost, data):
    n_drawn = data.draw(st.integers(0, len(lost)))
    expected = np.bincount([sum(drawn) for drawn in combinations(lost, n_drawn)])
    found = sums_of_draws(np.array(lost), n_drawn)
    assert found[: len(expected)] == pytest.approx(expected / expected.sum())
    assert found.sum() == pytest.approx(1)


def test_more_wells_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="4 of 3 wells"):
        sums_of_draws(np.array([1, 0, 2]), 4)


def test_coins_fall_as_often_as_counting_them_says():
    chances = [0.1, 0.5, 0.8]
    both = sums_of_coins(np.array(chances))
    assert both[0] == pytest.approx(0.9 * 0.5 * 0.2)
    assert both[3] == pytest.approx(0.1 * 0.5 * 0.8)
    assert chance_of_more(both, 0) == pytest.approx(1)
    assert chance_of_more(both, 4) == 0


def test_counting_in_steps_changes_the_verdict_little(monkeypatch):
    random = np.random.default_rng(3)
    lost = random.integers(0, 60, 384) * (random.random(384) < 0.3)
    is_in = np.arange(384) < 76
    exact = Draws(lost).chance_of_more(is_in)
    monkeypatch.setattr("labeling.statistics.draws.MOST_OPERATIONS", 3_000_000)
    coarse = Draws(lost)
    assert coarse.step(76) > 1
    assert coarse.chance_of_more(is_in) == pytest.approx(exact, abs=0.05)


# --- patterns ---------------------------------------------------------------------------------------------


def with_effect(kind: str) -> np.ndarray:
    random = np.random.default_rng(11)
    lost = random_plate(random)
    struck = random.random(lost.shape) < 0.35
    place = np.zeros(lost.shape, bool)
    if kind == "edge":
        place[[0, -1]] = place[:, [0, -1]] = True
    elif kind == "row":
        place[4] = True
    elif kind == "column":
        place[:, 11] = True
    elif kind == "checkerboard":
        place[::2, ::2] = place[1::2, 1::2] = True
    else:
        place[:, :, 2] = True
    return lost | (struck & place)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("edge", "the outermost wells"),
        ("row", "row E"),
        ("column", "column 12"),
        ("checkerboard", "every second well, from A01 on,"),
        ("site", "site 3"),
    ],
)
def test_an_effect_is_named_and_nothing_else(kind, name):
    found = find_patterns([a_plate(with_effect(kind)), a_plate(random_plate(np.random.default_rng(5)), "0413")])
    assert [(pattern.barcode, pattern.kind, pattern.name) for pattern in found] == [("0412", kind, name)]
    assert found[0].share > 2 * found[0].share_elsewhere


def test_each_site_is_judged_by_the_wells_that_have_it():
    lost = random_plate(np.random.default_rng(9), (16, 24, 3))
    whole, is_left = a_plate(lost), np.tile(np.arange(24) < 12, 16)
    has = {1: np.ones(384, bool), 2: is_left, 3: ~is_left}
    by_site = {site: (wells.astype(int), whole.lost_by_site[site][1] * wells) for site, wells in has.items()}
    n_fields, n_lost = (sum(numbers[n] for numbers in by_site.values()) for n in (0, 1))
    plate = replace(whole, n_fields=n_fields, n_lost=n_lost, lost_by_site=by_site)
    for pattern, wells, (_, gone) in zip(_sites(plate), has.values(), by_site.values(), strict=True):
        alone = sums_of_coins(n_lost[wells] / n_fields[wells])
        assert pattern.chance == pytest.approx(chance_of_more(alone, int(gone.sum())))


def test_a_pattern_says_how_much_and_where():
    (found,) = find_patterns([a_plate(with_effect("row"))])
    assert str(found) == "Plate 0412: row E loses 41 % of the fields, the rest of the plate 7 %."


def test_random_plates_rarely_show_a_pattern():
    random = np.random.default_rng(20)
    n_named = sum(bool(find_patterns([a_plate(random_plate(random, (16, 24, 2)))])) for _ in range(200))
    assert n_named <= 0.05 * 200


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (1, 24, 3), (2, 3, 9)])
@pytest.mark.parametrize("all_lost", [True, False])
def test_small_partial_and_uniform_plates_show_none(shape, all_lost):
    assert find_patterns([a_plate(np.full(shape, all_lost))]) == []


def test_a_tiny_difference_is_not_spoken_of_however_certain():
    lost = np.zeros((16, 24, 60), bool)
    lost[0, np.arange(24), np.arange(24)] = True
    assert find_patterns([a_plate(lost)]) == []  # row A loses 1.7 %, all others nothing


# --- the biology guard ---------------------------------------------------------------------------------------


def classes_of(plate: PlateCounts, random: np.random.Generator, n_classes: int = 48) -> dict[str, np.ndarray]:
    compounds = np.array([f"C{n % n_classes:03d}" for n in range(len(plate.rows))], object)
    return {"compound": random.permutation(compounds)}


def test_a_toxic_compound_is_named_with_its_numbers():
    random = np.random.default_rng(7)
    plates = []
    for barcode in ("0412", "0413"):
        lost = random_plate(random)
        classes = classes_of(a_plate(lost), random)
        toxic = (classes["compound"] == "C007").reshape(16, 24, 1)
        plates.append(PlateOfClasses(a_plate(lost | (toxic & (random.random(lost.shape) < 0.5)), barcode), classes))
    (found,) = losing_classes(plates)
    assert (found.field, found.value, found.n_wells) == ("compound", "C007", 16)
    assert found.share > 0.35
    assert found.share_elsewhere < 0.1
    assert str(found).startswith("compound C007 loses ")


def test_random_plates_rarely_accuse_a_treatment():
    random = np.random.default_rng(21)
    n_named = 0
    for _ in range(200):
        plate = a_plate(random_plate(random, (16, 24, 2)))
        n_named += bool(losing_classes([PlateOfClasses(plate, classes_of(plate, random))]))
    assert n_named <= 0.05 * 200


def test_a_bad_plate_does_not_accuse_the_compound_that_is_only_there():
    random = np.random.default_rng(8)
    good, bad = a_plate(random_plate(random)), a_plate(random.random((16, 24, N_SITES)) < 0.5, "bad")
    here = {"compound": np.where(np.arange(384) % 2 == 0, "only on the bad plate", "everywhere").astype(object)}
    there = {"compound": np.where(np.arange(384) % 2 == 0, "elsewhere", "everywhere").astype(object)}
    assert losing_classes([PlateOfClasses(good, there), PlateOfClasses(bad, here)]) == []


def test_a_class_that_fills_the_plate_cannot_be_judged():
    plate = a_plate(random_plate(np.random.default_rng(1)))
    assert losing_classes([PlateOfClasses(plate, {"cell line": np.full(384, "U2OS", object)})]) == []
