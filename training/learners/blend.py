"""The probability that an image is good: what the labels teach, blended with what the forest sees unasked."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import safetensors.numpy
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from training.learners.classifiers import make_classifier
from training.learners.folds import grouped_folds
from training.learners.verdicts import Verdicts

FORMAT = 1
FEWEST_OF_EACH = 1
# Labels of the rarer verdict at which classifier and forest count alike while nothing else is known.
HALF_WAY = 3.0
# How many labels the schedule above is worth against what cross-validation says.
FAITH_IN_SCHEDULE = 15.0
EARLIER_WEIGHT = 0.25
N_FOLDS = 4
# What a forest's score is worth before labels: the typical image is good 9 times in 10, and one robust SD is a
# factor of e in the odds.
PRIOR_LINE = (1.0, 2.2)
PRIOR_SD = (0.5, 1.0)
MOST_USUAL = 4000
SURE = 1e-3
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class TooFewLabels(ValueError):
    """There is nothing to learn from yet; the message says what is missing."""


class DamagedModel(ValueError):
    """A stored model that cannot be trusted; the message says why."""


@dataclass(frozen=True)
class Prediction:
    """Probabilities, (N,) float64, 0..1.

    good: that the image is good, both parts blended. classifier, forest: what each part says alone. disagreement:
    how far the parts are apart. uncertainty: 0 (sure) to 1 (could be either), from the blend and from how much the
    members of the classifier differ.
    """

    good: np.ndarray
    classifier: np.ndarray
    forest: np.ndarray
    disagreement: np.ndarray
    uncertainty: np.ndarray


Earlier = Sequence[tuple[np.ndarray, np.ndarray, Verdicts]]


class BlendedLearner(BaseEstimator):
    """A classifier and the isolation forest's score, combined on the logit scale.

    `weight_` is the classifier's weight, 0..1. It grows with the labels of the rarer verdict, and is corrected by
    how well each part predicts labels of wells it has not seen. `n_good_` and `n_bad_` count labels of this
    experiment.
    """

    def __init__(self, classifier: str = "committee", random_state: int = 0) -> None:
        self.classifier = classifier
        self.random_state = random_state

    def fit(
        self,
        features: np.ndarray,
        isolation: np.ndarray,
        wells: np.ndarray,
        verdicts: Verdicts,
        *,
        earlier: Earlier | None = None,
        is_trial: bool = False,
    ) -> Self:
        """Learn from an experiment and its labels.

        Parameters
        ----------
        features : (N, P) float32, as `scaling.robust_features` gives them, with reduced embeddings beside or not.
        isolation : (N,) isolation scores, higher is better, or what stands for them (`company.with_company`).
        wells : (N,) group of each row; rows of one group are never on both sides of a cross-validation.
        verdicts : what people say of some of the rows.
        earlier : (features, isolation, verdicts) of earlier experiments with the same columns; a label of theirs
            weighs a quarter.
        is_trial : a quick model for one fold of many: a smaller classifier, and its weight by the schedule alone.

        Raises
        ------
        TooFewLabels
            Without a good and a bad label in this experiment.
        """
        features = np.ascontiguousarray(features, np.float32)
        self.n_good_, self.n_bad_ = verdicts.n_good, verdicts.n_bad
        check_enough(verdicts)
        self.n_columns_ = features.shape[1]
        self.middle_ = forest_scale(isolation)
        rng = np.random.default_rng(self.random_state)
        usual_rows = rng.choice(len(features), min(len(features), MOST_USUAL), replace=False)
        usual = self._with_isolation(features[usual_rows], isolation[usual_rows])
        labelled = self._with_isolation(features[verdicts.rows], isolation[verdicts.rows])
        z = self._standard(isolation[verdicts.rows])
        old = _join_earlier([(self._with_isolation(f[v.rows], i[v.rows]), v) for f, i, v in earlier or ()])
        if is_trial:
            self.weight_ = scheduled_weight(verdicts)
        else:
            self.weight_ = self._choose_weight(labelled, z, wells[verdicts.rows], verdicts, usual, old)
        self.line_ = fit_line(z, verdicts.is_good, verdicts.weights)
        self.classifier_ = self._train(labelled, verdicts.is_good, verdicts.weights, usual, old, is_trial=is_trial)
        return self

    def predict(self, features: np.ndarray, isolation: np.ndarray) -> Prediction:
        """Both parts and their blend for any rows with the columns of `fit`."""
        check_is_fitted(self)
        if features.shape[1] != self.n_columns_:
            raise ValueError(f"The model knows {self.n_columns_} columns; these are {features.shape[1]}.")
        good, spread = self.classifier_.predict(self._with_isolation(features, isolation))
        classifier = np.clip(good, SURE, 1 - SURE)
        forest = forest_probability(self._standard(isolation), self.line_)
        blended = expit(self.weight_ * logit(classifier) + (1 - self.weight_) * logit(forest))
        doubt = 4 * blended * (1 - blended)
        return Prediction(
            good=blended,
            classifier=classifier,
            forest=forest,
            disagreement=np.abs(classifier - forest),
            uncertainty=np.clip(0.75 * doubt + 0.5 * self.weight_ * spread, 0, 1),
        )

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """What each column adds towards good in the classifier, (N, P); the forest's score as a column is left out."""
        check_is_fitted(self)
        columns = np.column_stack([features, np.zeros(len(features), np.float32)]).astype(np.float32)
        return self.classifier_.contributions(columns)[:, : self.n_columns_]

    def _train(
        self,
        x: np.ndarray,
        is_good: np.ndarray,
        weights: np.ndarray,
        usual: np.ndarray,
        old: Any,
        *,
        is_trial: bool = False,
    ) -> Any:
        old_x, old_good, old_weights = old
        if len(old_good):
            x, is_good = np.concatenate([x, old_x]), np.concatenate([is_good, old_good])
            weights = np.concatenate([weights, old_weights])
        return make_classifier(self.classifier, self.random_state, is_trial=is_trial).fit(x, is_good, weights, usual)

    def _choose_weight(
        self, x: np.ndarray, z: np.ndarray, groups: np.ndarray, verdicts: Verdicts, usual: np.ndarray, old: Any
    ) -> float:
        """The weight with the least cross-validated log-loss, held to the schedule by as many labels as it is worth."""
        rarer = min(verdicts.n_good, verdicts.n_bad)
        schedule = scheduled_weight(verdicts)
        held_classifier, held_forest, held_rows = [], [], []
        for train, held in grouped_folds(verdicts.is_good, groups, n_folds=N_FOLDS, random_state=self.random_state):
            part = verdicts.take(train)
            model = self._train(x[train], part.is_good, part.weights, usual, old, is_trial=True)
            held_classifier.append(logit(np.clip(model.predict(x[held])[0], 0.02, 0.98)))
            line = fit_line(z[train], part.is_good, part.weights)
            held_forest.append(logit(forest_probability(z[held], line)))
            held_rows.append(held)
        if not held_rows:
            return schedule
        rows = np.concatenate(held_rows)
        of_classifier, of_forest = np.concatenate(held_classifier), np.concatenate(held_forest)
        is_good, weights = verdicts.is_good[rows], verdicts.weights[rows]
        sign = np.where(is_good, 1.0, -1.0)
        total = np.where(is_good, weights[is_good].sum(), weights[~is_good].sum())
        each = weights / total * rarer
        grid = np.linspace(0, 1, 41)
        blended = grid[:, None] * of_classifier + (1 - grid[:, None]) * of_forest
        loss = (each * np.logaddexp(0, -sign * blended)).sum(axis=1) + FAITH_IN_SCHEDULE * (grid - schedule) ** 2
        return float(grid[loss.argmin()])

    def _standard(self, isolation: np.ndarray) -> np.ndarray:
        return np.clip((np.asarray(isolation, np.float64) - self.middle_[0]) / self.middle_[1], -8, 3)

    def _with_isolation(self, features: np.ndarray, isolation: np.ndarray) -> np.ndarray:
        standard = self._standard(isolation).astype(np.float32)
        return np.column_stack([np.asarray(features, np.float32), standard])

    def to_bytes(self) -> bytes:
        """A zip of a JSON and a safetensors file: nothing in it can run. Equal models give equal bytes."""
        check_is_fitted(self)
        about = {
            "format": FORMAT,
            "classifier": self.classifier,
            "random_state": self.random_state,
            "weight": self.weight_,
            "n_good": self.n_good_,
            "n_bad": self.n_bad_,
            "n_columns": self.n_columns_,
            "middle": list(self.middle_),
            "line": list(self.line_),
        }
        arrays = {name: np.ascontiguousarray(part) for name, part in self.classifier_.to_arrays().items()}
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in (
                ("model.json", json.dumps(about, sort_keys=True, indent=1).encode()),
                ("classifier.safetensors", safetensors.numpy.save(arrays)),
            ):
                archive.writestr(zipfile.ZipInfo(name, FIXED_TIME), data, zipfile.ZIP_DEFLATED)
        return target.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, expected_sha256: str | None = None) -> Self:
        """The model `to_bytes` wrote, on any machine.

        Raises DamagedModel when the SHA-256 is not the expected one, or the content is not a model of ours.
        """
        if expected_sha256 is not None and hashlib.sha256(data).hexdigest() != expected_sha256:
            raise DamagedModel("The stored model is not the one that was saved: its checksum differs.")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                about = json.loads(archive.read("model.json"))
                arrays = safetensors.numpy.load(archive.read("classifier.safetensors"))
            if about["format"] != FORMAT:
                raise DamagedModel(f"The stored model has format {about['format']}; this version reads {FORMAT}.")
            learner = cls(classifier=about["classifier"], random_state=about["random_state"])
            learner.weight_ = float(about["weight"])
            learner.n_good_, learner.n_bad_ = int(about["n_good"]), int(about["n_bad"])
            learner.n_columns_ = int(about["n_columns"])
            learner.middle_ = (float(about["middle"][0]), float(about["middle"][1]))
            learner.line_ = (float(about["line"][0]), float(about["line"][1]))
            learner.classifier_ = make_classifier(learner.classifier, learner.random_state).from_arrays(arrays)
        except DamagedModel:
            raise
        except (
            zipfile.BadZipFile,
            safetensors.SafetensorError,
            KeyError,
            ValueError,
            TypeError,
            IndexError,
        ) as problem:
            raise DamagedModel("The stored model cannot be read: it is damaged or none of ours.") from problem
        return learner


def check_enough(verdicts: Verdicts) -> None:
    """Raises TooFewLabels, in a sentence, unless there is at least one good and one bad label."""
    missing = [word for word, n in (("good", verdicts.n_good), ("bad", verdicts.n_bad)) if n < FEWEST_OF_EACH]
    if missing:
        both = " and ".join(f"one {word}" for word in missing)
        raise TooFewLabels(
            f"A model learns from good and bad images; so far there are {verdicts.n_good} good and "
            f"{verdicts.n_bad} bad. Label at least {both} image."
        )


def scheduled_weight(verdicts: Verdicts) -> float:
    """The classifier's weight, 0..1, by the number of labels of the rarer verdict alone."""
    rarer = min(verdicts.n_good, verdicts.n_bad)
    return float(rarer / (rarer + HALF_WAY))


def forest_alone(isolation: np.ndarray, scale: tuple[float, float] | None = None) -> np.ndarray:
    """Probability of good (N,) from isolation scores before there are labels; a rough prior that keeps their order.

    `scale` is the `forest_scale` of the experiment, when these are not all of its scores.
    """
    middle, spread = forest_scale(isolation) if scale is None else scale
    return forest_probability(np.clip((isolation - middle) / spread, -8, 3), PRIOR_LINE)


def forest_probability(z: np.ndarray, line: tuple[float, float]) -> np.ndarray:
    """Probability of good of standardised isolation scores (N,)."""
    return np.clip(expit(line[0] * z + line[1]), SURE, 1 - SURE)


def fit_line(z: np.ndarray, is_good: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and offset from standardised isolation scores to the logit of good, held to what is usual (MAP).

    The slope never falls below 0: a score that misleads is ignored, not turned around.
    """
    sign = np.where(is_good, 1.0, -1.0)

    def loss(line: np.ndarray) -> float:
        fits = weights @ np.logaddexp(0, -sign * (line[0] * z + line[1]))
        return float(fits + 0.5 * (((line - PRIOR_LINE) / PRIOR_SD) ** 2).sum())

    found = minimize(loss, np.array(PRIOR_LINE), method="L-BFGS-B", bounds=[(0.02, 4), (-6, 8)])
    return float(found.x[0]), float(found.x[1])


def forest_scale(isolation: np.ndarray) -> tuple[float, float]:
    """Median and robust SD of isolation scores: where the forest finds images usual, and how widely they spread."""
    median = float(np.median(isolation))
    spread = 1.4826 * float(np.median(np.abs(isolation - median)))
    return median, spread if spread > 0 else max(float(np.std(isolation)), 1e-6)


def _join_earlier(earlier: list[tuple[np.ndarray, Verdicts]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not earlier:
        return np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros(0)
    return (
        np.concatenate([x for x, _ in earlier]),
        np.concatenate([v.is_good for _, v in earlier]),
        EARLIER_WEIGHT * np.concatenate([v.weights for _, v in earlier]),
    )
