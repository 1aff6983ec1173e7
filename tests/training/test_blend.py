"""The blend learns, says how sure it is, never trusts a blind forest, and is stored without anything that can run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import average_precision_score

from tests.conftest import ROOT
from tests.training.tables import misleading_table, outlying_table
from training.learners.blend import BlendedLearner, DamagedModel, TooFewLabels, forest_alone
from training.learners.classifiers import CLASSIFIERS
from training.learners.verdicts import verdicts_of


@pytest.fixture(scope="module")
def table():
    return outlying_table()


@pytest.fixture(scope="module")
def verdicts(table):
    return table.some_labels(60)


@pytest.fixture(scope="module")
def model(table, verdicts):
    return BlendedLearner(random_state=3).fit(*table.known, verdicts)


def precision(table, good, verdicts):
    rest = np.setdiff1d(np.arange(len(table.is_bad)), verdicts.rows)
    return average_precision_score(table.is_bad[rest], -good[rest])


@pytest.mark.parametrize("classifier", [name for name in CLASSIFIERS if name != "anomaly"])
def test_labels_make_the_ranking_better_than_the_forest(table, classifier):
    verdicts = table.some_labels(100)
    prediction = BlendedLearner(classifier).fit(*table.known, verdicts).predict(table.features, table.isolation)
    assert precision(table, prediction.good, verdicts) > 0.85


def test_a_reweighted_forest_loses_little_where_it_gains_nothing(table):
    """It stays a forest: on this table labels help it not at all, and the blend must not make it much worse."""
    verdicts = table.some_labels(100)
    prediction = BlendedLearner("anomaly").fit(*table.known, verdicts).predict(table.features, table.isolation)
    assert precision(table, prediction.good, verdicts) > precision(table, table.isolation, verdicts) - 0.05


@pytest.mark.parametrize("make", [outlying_table, misleading_table])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_blend_is_not_worse_than_its_better_part(make, seed):
    table = make(seed)
    verdicts = table.some_labels(80, seed)
    prediction = BlendedLearner().fit(*table.known, verdicts).predict(table.features, table.isolation)
    parts = [precision(table, part, verdicts) for part in (prediction.classifier, prediction.forest)]
    assert precision(table, prediction.good, verdicts) > max(parts) - 0.05


def test_a_forest_that_misleads_loses_its_say():
    table = misleading_table()
    model = BlendedLearner().fit(*table.known, table.some_labels(120))
    assert model.weight_ > 0.8
    assert model.line_[0] < 0.2  # its slope: nearly flat


def test_the_classifier_gains_weight_with_labels_of_the_rarer_verdict(table):
    weights = [
        BlendedLearner().fit(*table.known, table.some_labels(n, 1), is_trial=True).weight_ for n in (20, 60, 150)
    ]
    assert weights == sorted(weights)
    assert weights[0] < weights[-1]


def test_everything_said_lies_between_0_and_1(table, model):
    prediction = model.predict(table.features, table.isolation)
    for part in vars(prediction).values():
        assert part.shape == (300,)
        assert part.dtype == np.float64
        assert ((part >= 0) & (part <= 1)).all()


def test_parts_that_differ_are_told(table, model):
    prediction = model.predict(table.features, table.isolation)
    assert prediction.disagreement == pytest.approx(np.abs(prediction.classifier - prediction.forest))


def test_probabilities_are_about_what_they_say(table):
    verdicts = table.some_labels(100)
    prediction = BlendedLearner().fit(*table.known, verdicts).predict(table.features, table.isolation)
    rest = np.setdiff1d(np.arange(300), verdicts.rows)
    bad = 1 - prediction.good[rest]
    assert np.mean((bad - table.is_bad[rest]) ** 2) < 0.06  # guessing the share gives 0.1
    assert bad.mean() == pytest.approx(table.is_bad[rest].mean(), abs=0.08)


def test_people_who_disagree_leave_the_model_less_sure(table, verdicts):
    doubted = replace(verdicts, weights=np.where(verdicts.is_good, 1.0, 0.2))
    sure = BlendedLearner().fit(*table.known, verdicts)
    unsure = BlendedLearner().fit(*table.known, doubted)
    rows = np.setdiff1d(np.flatnonzero(table.is_bad), verdicts.rows)

    def mean_bad(model):
        return float((1 - model.predict(table.features[rows], table.isolation[rows]).good).mean())

    assert mean_bad(unsure) < mean_bad(sure)


def test_earlier_labels_help_where_there_are_few(table):
    old = outlying_table(9)
    few = table.labelled(np.concatenate([np.flatnonzero(table.is_bad)[:1], np.flatnonzero(~table.is_bad)[:4]]))
    alone = BlendedLearner().fit(*table.known, few)
    helped = BlendedLearner().fit(*table.known, few, earlier=[(old.features, old.isolation, old.some_labels(150))])
    rank = [m.predict(table.features, table.isolation).classifier for m in (alone, helped)]
    assert precision(table, rank[1], few) > precision(table, rank[0], few)
    assert (helped.n_good_, helped.n_bad_) == (4, 1)


def test_too_few_labels_are_told_in_a_sentence(table):
    with pytest.raises(TooFewLabels, match=r"so far there are 3 good and 0 bad\. Label at least one bad image\."):
        BlendedLearner().fit(*table.known, verdicts_of(np.arange(3), np.ones(3, bool)))
    with pytest.raises(TooFewLabels, match="one good and one bad image"):
        BlendedLearner().fit(*table.known, verdicts_of(np.zeros(0, int), np.zeros(0, bool)))


def test_the_fewest_labels_are_one_of_each(table):
    pair = table.labelled(np.array([np.flatnonzero(table.is_bad)[0], np.flatnonzero(~table.is_bad)[0]]))
    model = BlendedLearner().fit(*table.known, pair)
    assert model.weight_ <= 0.5


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_same_labels_and_seed_give_the_same_bytes(table, verdicts, classifier):
    first, second = (BlendedLearner(classifier, 5).fit(*table.known, verdicts) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    back = BlendedLearner.from_bytes(first.to_bytes(), hashlib.sha256(first.to_bytes()).hexdigest())
    again = back.predict(table.features, table.isolation)
    assert again.good.tobytes() == first.predict(table.features, table.isolation).good.tobytes()
    assert back.get_params() == first.get_params()
    assert back.weight_ == first.weight_


def test_another_process_reads_the_model_and_says_the_same(table, model, tmp_path):
    (tmp_path / "model.zip").write_bytes(model.to_bytes())
    np.savez(tmp_path / "rows.npz", features=table.features, isolation=table.isolation)
    script = (
        "import sys, hashlib, numpy as np; from training.learners.blend import BlendedLearner;"
        "rows = np.load(sys.argv[1] + '/rows.npz');"
        "model = BlendedLearner.from_bytes(open(sys.argv[1] + '/model.zip', 'rb').read());"
        "good = model.predict(rows['features'], rows['isolation']).good;"
        "print(hashlib.sha256(good.tobytes()).hexdigest())"
    )
    answer = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    mine = model.predict(table.features, table.isolation).good
    assert answer.stdout.strip() == hashlib.sha256(mine.tobytes()).hexdigest(), answer.stderr


def test_the_file_holds_numbers_only(model):
    with zipfile.ZipFile(BytesIO(model.to_bytes())) as archive:
        assert sorted(archive.namelist()) == ["classifier.safetensors", "model.json"]


def test_an_altered_file_is_refused(model):
    data = model.to_bytes()
    with pytest.raises(DamagedModel, match="checksum differs"):
        BlendedLearner.from_bytes(data, hashlib.sha256(b"other").hexdigest())
    for broken in (b"", data[:200], b"\x80\x04K\x01."):
        with pytest.raises(DamagedModel, match="cannot be read"):
            BlendedLearner.from_bytes(broken)


def test_other_columns_are_refused(table, model):
    with pytest.raises(ValueError, match="knows 12 columns; these are 11"):
        model.predict(table.features[:, :11], table.isolation)


def test_before_labels_the_order_is_the_forests(table):
    good = forest_alone(table.isolation)
    assert (np.diff(good[np.argsort(table.isolation)]) >= 0).all()
    assert 0.03 < (1 - good).mean() < 0.25


def test_columns_that_differ_speak_against_bad_rows(table, model):
    against = -model.contributions(table.features[table.is_bad])
    assert against.shape == (33, 12)
    assert against[:, :4].sum() > 3 * np.abs(against[:, 4:]).sum() / 2


def test_it_keeps_the_contract_of_scikit_learn():
    learner = BlendedLearner("trees", 4)
    assert clone(learner).get_params() == {"classifier": "trees", "random_state": 4}
    assert not [name for name in vars(learner) if name.endswith("_")]


def test_an_unknown_classifier_is_told(table, verdicts):
    with pytest.raises(ValueError, match="'forest' is no classifier"):
        BlendedLearner("forest").fit(*table.known, verdicts)
