"""The numbers of the Agreement page over REST."""

import pytest

from tests.labeling.test_agreement import repeat, say


@pytest.fixture
def images(experiment):
    return list(experiment.images.order_by("id"))


def test_it_tells_what_the_page_tells(as_data_scientist, address, images, scientist, second_scientist):
    for image, one, other in zip(images, ("good", "good", "bad"), ("good", "bad", "bad"), strict=False):
        say(image, one, scientist)
        say(image, other, second_scientist)
    repeat(say(images[5], "good", scientist), "good")
    told = as_data_scientist.get(f"{address}/agreement/").json()
    assert told["people"] == [
        {"person": "grace", "name": "Grace Plate", "images": 4, "good": 3, "bad": 1, "unsure": 0},
        {"person": "rosa", "name": "Rosa Well", "images": 3, "good": 1, "bad": 2, "unsure": 0},
    ]
    (pair,) = told["pairs"]
    assert (pair["first"], pair["second"], pair["images"], pair["agreed"], pair["apart"]) == ("grace", "rosa", 3, 2, 1)
    assert pair["table"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert pair["kappa"] == pytest.approx(0.4)
    assert "too few" in pair["detail"]
    (own,) = told["repeats"]
    assert (own["first"], own["second"], own["kappa"], own["low"]) == ("grace", "grace", None, None)
    assert (told["n_disputed"], told["n_open"]) == (1, 1)


def test_nothing_labelled_is_empty(as_data_scientist, address):
    told = as_data_scientist.get(f"{address}/agreement/").json()
    assert told == {"people": [], "pairs": [], "repeats": [], "n_disputed": 0, "n_open": 0}


def test_the_history_of_labels_tells_which_were_blind_repeats(as_data_scientist, address, images, scientist):
    first = say(images[0], "good", scientist)
    repeat(first, "bad")
    rows = as_data_scientist.get(f"{address}/labels/").json()["results"]
    assert [row["repeats"] for row in rows] == [first.pk, None]
