"""Company: a phenotype shows in several wells of a plate, an artefact comes alone."""

from __future__ import annotations

import numpy as np
import pytest

from training.learners.company import MOST_COMPANIONS, N_NEIGHBOURS, company, with_company

N_WELLS, N_SITES = 60, 4
PHENOTYPE, WHOLE_WELL, SINGLE = slice(0, 12), slice(12, 16), 20  # three wells, one well, one field


def plate(seed: int = 0, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features (240, 8) and wells of a plate: a phenotype in three wells, a spoiled well, and a spoiled field."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N_WELLS * N_SITES, 8)) * 0.5
    features[PHENOTYPE, :3] += 6
    features[WHOLE_WELL, 3:6] += 6
    features[SINGLE, 6:] -= 6
    return (features + shift).astype(np.float32), np.arange(N_WELLS * N_SITES) // N_SITES


def test_a_phenotype_of_several_wells_has_company_and_artefacts_have_none():
    features, wells = plate()
    found = company(features, np.zeros(len(wells), int), wells)
    assert found.shape == (len(wells),)
    alone = np.concatenate([found[WHOLE_WELL], [found[SINGLE]]])
    assert found[PHENOTYPE].min() > alone.max() + 2
    assert np.median(found) == pytest.approx(0, abs=1e-6)


def test_the_images_of_its_own_well_are_no_company():
    """A well that is spoiled whole looks as lonely as one field of it would alone."""
    features, wells = plate()
    each_its_own = np.arange(len(wells))
    plates = np.zeros(len(wells), int)
    assert (
        company(features, plates, wells)[WHOLE_WELL].max() < company(features, plates, each_its_own)[WHOLE_WELL].min()
    )


def test_each_plate_is_judged_by_itself():
    (a, wells), (b, _) = plate(1), plate(2, shift=50)
    both = company(np.vstack([a, b]), np.repeat([7, 3], len(wells)), np.concatenate([wells, wells]))
    assert both[: len(wells)] == pytest.approx(company(a, np.zeros(len(wells), int), wells), abs=1e-3)
    assert both[len(wells) :] == pytest.approx(company(b, np.zeros(len(wells), int), wells), abs=1e-3)


def test_a_large_plate_gives_the_same_numbers_for_the_same_seed_and_still_tells():
    rng = np.random.default_rng(5)
    n = 3 * MOST_COMPANIONS
    features = rng.normal(size=(n, 6)).astype(np.float32)
    features[:5] += rng.normal(size=(5, 6)) * 9
    wells, plates = np.arange(n) // 9, np.zeros(n, int)
    found = company(features, plates, wells, random_state=3)
    assert (found == company(features, plates, wells, random_state=3)).all()
    assert (found[:5] < np.quantile(found, 0.01)).all()


def test_without_another_well_nothing_is_said():
    features, _ = plate()
    assert (company(features, np.zeros(len(features), int), np.zeros(len(features), int)) == 0).all()


@pytest.mark.parametrize("n", [2, N_NEIGHBOURS, N_NEIGHBOURS + 1])
def test_few_images_and_copies_give_numbers(n):
    found = company(np.ones((n, 3), np.float32), np.zeros(n, int), np.arange(n))
    assert np.isfinite(found).all()


def test_company_moves_the_score_and_keeps_its_scale():
    rng = np.random.default_rng(1)
    isolation = -0.45 + 0.03 * rng.normal(size=500)
    nothing = with_company(isolation, np.zeros(500))
    assert nothing == pytest.approx((isolation + np.median(isolation)) / 2)
    lonely = np.zeros(500)
    lonely[9] = -6
    assert with_company(isolation, lonely)[9] < nothing[9] - 2 * 0.03
