"""How well a model does on images it has not learned from, said honestly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from training.learners.blend import BlendedLearner, TooFewLabels, forest_alone
from training.learners.folds import grouped_folds
from training.learners.remaining import estimate_bad
from training.learners.verdicts import Verdicts

GOOD_LOST = (0.01, 0.03, 0.05)
N_FOLDS = 5
N_BOOTSTRAPS = 400
CONFIDENCE = 95
N_BINS = 5
CURVE_POINTS = 60
CURVE_AT = (10, 20, 30, 50, 100, 200)
RANDOM_REPEATS = 2
# Fewer say nothing with an interval narrow enough to be of use.
FEWEST_AT_RANDOM, FEWEST_BAD_AT_RANDOM = 30, 5
FEWEST_OF_TREATMENT = 3


def evaluate(
    features: np.ndarray,
    isolation: np.ndarray,
    wells: np.ndarray,
    plates: np.ndarray,
    verdicts: Verdicts,
    *,
    defects: dict[int, tuple[str, ...]] | None,
    treatments: np.ndarray | None,
    random_share_rows: np.ndarray,
    random_state: int,
    classifier: str = "committee",
) -> dict[str, Any]:
    """A report that can be stored as JSON; bad is the positive class everywhere.

    Parameters
    ----------
    features (N, P), isolation (N,), wells (N,), plates (N,), verdicts : as for `BlendedLearner.fit`; `verdicts` in the
        order of labelling.
    defects : row to what was tagged on it.
    treatments : (N,) names, empty where unknown.
    random_share_rows : (R,) labelled rows that were drawn blindly.

    Returns
    -------
    n_good, n_bad, n_unsure, n_held_out; grouped_by ("well" or "plate");
    average_precision, roc_auc, brier: each {value, low, high} (95 %, bootstrapped over wells), absent when undefined;
    by_plate: the same three with plates held out, or None for one plate;
    recall_at_good_lost: [{good_lost, value, low, high}] for 0.01, 0.03, 0.05;
    calibration: [{from, to, n, predicted, found, low, high}] of the probability of bad;
    curves: {precision_recall: [[recall, precision]], roc: [[share of good lost, recall]]};
    learning_curve: [{labels, ours, random, forest, n_rest, n_bad_rest}], average precisions on the labels not used;
    by_defect: [{defect, n, found, value, low, high}], recall at 3 % good lost;
    by_treatment: [{treatment, n_good, n_bad, good_lost}], the share of its good images lost at 3 %;
    random_share: {n, n_bad, share_bad, low, high, average_precision, roc_auc, brier} or None;
    notes: [sentences].
    """
    trial = _Trial(features, isolation, wells, verdicts, classifier, random_state)
    held = trial.hold_out(wells)
    report: dict[str, Any] = {
        "n_good": verdicts.n_good,
        "n_bad": verdicts.n_bad,
        "n_unsure": len(verdicts.unsure_rows),
        "n_held_out": len(held.index),
        "grouped_by": "well",
        "notes": _notes(verdicts, held, random_share_rows),
    }
    rows = verdicts.rows
    if held.is_usable:
        report |= _headline(held, wells[rows[held.index]], random_state)
        report["recall_at_good_lost"] = _recalls(held, wells[rows[held.index]], random_state)
        report["calibration"] = _calibration(held)
        report["curves"] = _curves(held)
        report["by_defect"] = _by_defect(held, rows, defects or {})
        report["by_treatment"] = [] if treatments is None else _by_treatment(held, treatments[rows[held.index]])
    report["by_plate"] = _over_plates(trial, plates, random_state)
    report["random_share"] = _at_random(held, rows, wells, random_share_rows, random_state)
    report["learning_curve"] = _learning_curve(trial)
    return report


@dataclass(frozen=True)
class _Held:
    """Predictions of labels by models without them: index (H,) into the verdicts, truth and probability of bad."""

    index: np.ndarray
    is_bad: np.ndarray
    bad: np.ndarray

    @property
    def is_usable(self) -> bool:
        return bool(self.is_bad.any() and not self.is_bad.all())

    def take(self, which: np.ndarray) -> _Held:
        return _Held(self.index[which], self.is_bad[which], self.bad[which])


@dataclass(frozen=True)
class _Trial:
    """An experiment on which models can be trained without some of its labels."""

    features: np.ndarray
    isolation: np.ndarray
    wells: np.ndarray
    verdicts: Verdicts
    classifier: str
    random_state: int

    def predict(self, train: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Probability of bad of the labels `held` by a model of the labels `train`, both indices into the verdicts.

        The forest's prior where there is too little to train on.
        """
        rows = self.verdicts.rows[held]
        try:
            model = BlendedLearner(self.classifier, self.random_state).fit(
                self.features, self.isolation, self.wells, self.verdicts.take(train), is_trial=True
            )
        except TooFewLabels:
            return 1 - forest_alone(self.isolation)[rows]
        return 1 - model.predict(self.features[rows], self.isolation[rows]).good

    def hold_out(self, groups: np.ndarray) -> _Held:
        """Cross-validation that keeps groups (N,) whole."""
        folds = grouped_folds(
            self.verdicts.is_good, groups[self.verdicts.rows], n_folds=N_FOLDS, random_state=self.random_state
        )
        parts = [(held, self.predict(train, held)) for train, held in folds]
        if not parts:
            return _Held(np.zeros(0, int), np.zeros(0, bool), np.zeros(0))
        index = np.concatenate([held for held, _ in parts])
        order = np.argsort(index)
        bad = np.concatenate([bad for _, bad in parts])[order]
        return _Held(index[order], ~self.verdicts.is_good[index[order]], bad)


def _headline(held: _Held, groups: np.ndarray, random_state: int) -> dict[str, Any]:
    return {
        "average_precision": _with_interval(average_precision_score, held, groups, random_state),
        "roc_auc": _with_interval(roc_auc_score, held, groups, random_state),
        "brier": _with_interval(_brier, held, groups, random_state),
    }


def _brier(is_bad: np.ndarray, bad: np.ndarray) -> float:
    return float(np.mean((bad - is_bad) ** 2))


def _with_interval(
    measure: Callable[[np.ndarray, np.ndarray], float], held: _Held, groups: np.ndarray, random_state: int
) -> dict[str, float]:
    """The measure and its 95 % interval, by drawing whole groups again with replacement."""
    rng = np.random.default_rng(random_state)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    values = []
    for _ in range(N_BOOTSTRAPS):
        which = np.concatenate([members[n] for n in rng.integers(0, len(members), len(members))])
        part = held.take(which)
        if part.is_usable:
            values.append(measure(part.is_bad, part.bad))
    # Sums of floats may end a hair above 1.
    value = min(1.0, float(measure(held.is_bad, held.bad)))
    edge = (100 - CONFIDENCE) / 2
    low, high = np.percentile(values, [edge, 100 - edge]) if values else (value, value)
    return {"value": value, "low": float(min(low, value)), "high": float(min(1.0, max(high, value)))}


def recall_when_losing(is_bad: np.ndarray, bad: np.ndarray, good_lost: float) -> float:
    """Share of the bad ones found by the cutoff that flags at most that share of the good ones, 0..1."""
    return float((bad[is_bad] > _cutoff_losing(is_bad, bad, good_lost)).mean())


def _cutoff_losing(is_bad: np.ndarray, bad: np.ndarray, good_lost: float) -> float:
    """Probability of bad above which at most that share of the good ones lie."""
    of_good = np.sort(bad[~is_bad])[::-1]
    return float(of_good[min(int(good_lost * len(of_good)), len(of_good) - 1)])


def _recalls(held: _Held, groups: np.ndarray, random_state: int) -> list[dict[str, float]]:
    def at(share: float) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda is_bad, bad: recall_when_losing(is_bad, bad, share)

    return [{"good_lost": share, **_with_interval(at(share), held, groups, random_state)} for share in GOOD_LOST]


def _calibration(held: _Held) -> list[dict[str, float | int]]:
    edges = np.linspace(0, 1, N_BINS + 1)
    bins = np.clip(np.digitize(held.bad, edges) - 1, 0, N_BINS - 1)
    rows: list[dict[str, float | int]] = []
    for number in range(N_BINS):
        inside = bins == number
        if not inside.any():
            continue
        n, n_bad = int(inside.sum()), int(held.is_bad[inside].sum())
        low, high = _interval(n_bad, n)
        rows.append(
            {
                "from": float(edges[number]),
                "to": float(edges[number + 1]),
                "n": n,
                "predicted": float(held.bad[inside].mean()),
                "found": n_bad / n,
                "low": low,
                "high": high,
            }
        )
    return rows


def _interval(n_found: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.96
    middle = (n_found + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(n_found * (n - n_found) / n + z**2 / 4)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _curves(held: _Held) -> dict[str, list[list[float]]]:
    precision, recall, _ = precision_recall_curve(held.is_bad, held.bad)
    lost, found, _ = roc_curve(held.is_bad, held.bad)
    return {"precision_recall": _thinned(recall[::-1], precision[::-1]), "roc": _thinned(lost, found)}


def _thinned(x: np.ndarray, y: np.ndarray) -> list[list[float]]:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return [[round(float(x[n]), 4), round(float(y[n]), 4)] for n in keep]


def _by_defect(held: _Held, rows: np.ndarray, defects: dict[int, tuple[str, ...]]) -> list[dict[str, Any]]:
    cutoff = _cutoff_losing(held.is_bad, held.bad, 0.03)
    found_of: dict[str, list[bool]] = {}
    for index, is_bad, bad in zip(held.index, held.is_bad, held.bad, strict=True):
        for defect in (defects.get(int(rows[index])) or ("not named",)) if is_bad else ():
            found_of.setdefault(defect, []).append(bool(bad > cutoff))
    summary = []
    for defect, found in sorted(found_of.items()):
        low, high = _interval(sum(found), len(found))
        value = sum(found) / len(found)
        summary.append(
            {"defect": defect, "n": len(found), "found": sum(found), "value": value, "low": low, "high": high}
        )
    return summary


def _by_treatment(held: _Held, treatments: np.ndarray) -> list[dict[str, Any]]:
    """Treatments whose good images are lost most come first: there biology may be taken for dirt."""
    cutoff = _cutoff_losing(held.is_bad, held.bad, 0.03)
    summary = []
    for treatment in np.unique(treatments[treatments != ""]):
        inside = treatments == treatment
        good = inside & ~held.is_bad
        if inside.sum() < FEWEST_OF_TREATMENT:
            continue
        summary.append(
            {
                "treatment": str(treatment),
                "n_good": int(good.sum()),
                "n_bad": int((inside & held.is_bad).sum()),
                "good_lost": float((held.bad[good] > cutoff).mean()) if good.any() else 0.0,
            }
        )
    return sorted(summary, key=lambda one: (-one["good_lost"], -one["n_good"], one["treatment"]))


def _over_plates(trial: _Trial, plates: np.ndarray, random_state: int) -> dict[str, Any] | None:
    of_labels = plates[trial.verdicts.rows]
    if len(np.unique(of_labels)) < 2:
        return None
    held = trial.hold_out(plates)
    if not held.is_usable:
        return None
    return {"n_plates": len(np.unique(of_labels)), **_headline(held, of_labels[held.index], random_state)}


def _at_random(
    held: _Held, rows: np.ndarray, wells: np.ndarray, random_share_rows: np.ndarray, random_state: int
) -> dict[str, Any] | None:
    """The numbers on the labels drawn blindly alone: what the experiment as a whole would show."""
    part = held.take(np.isin(rows[held.index], random_share_rows))
    n, n_bad = len(part.index), int(part.is_bad.sum())
    if n < FEWEST_AT_RANDOM:
        return None
    share = estimate_bad([len(wells)], [n], [n_bad])
    report: dict[str, Any] = {
        "n": n,
        "n_bad": n_bad,
        "share_bad": share.share,
        "low": share.low,
        "high": share.high,
    }
    if n_bad >= FEWEST_BAD_AT_RANDOM and part.is_usable:
        report |= _headline(part, wells[rows[part.index]], random_state)
    return report


def _learning_curve(trial: _Trial) -> list[dict[str, Any]]:
    """What the first n labels teach about the others, against as many of all labels, and no label at all.

    Wells of the labels used are left out of the rest, so that neighbours do not help.
    """
    n_labels = len(trial.verdicts.rows)
    curve = []
    for n in (n for n in CURVE_AT if n <= 0.7 * n_labels):
        first = np.arange(n)
        ours = _precision_on_rest(trial, first)
        if ours is None:
            continue
        rng = np.random.default_rng((trial.random_state, n))
        drawn = [_precision_on_rest(trial, rng.permutation(n_labels)[:n]) for _ in range(RANDOM_REPEATS)]
        of_random = [one["model"] for one in drawn if one is not None]
        curve.append(
            {
                "labels": n,
                "ours": ours["model"],
                "random": float(np.mean(of_random)) if of_random else None,
                "forest": ours["forest"],
                "n_rest": ours["n"],
                "n_bad_rest": ours["n_bad"],
            }
        )
    return curve


def _precision_on_rest(trial: _Trial, train: np.ndarray) -> dict[str, Any] | None:
    verdicts = trial.verdicts
    of_labels = trial.wells[verdicts.rows]
    rest = np.flatnonzero(~np.isin(of_labels, of_labels[train]))
    is_bad = ~verdicts.is_good[rest]
    if not is_bad.any() or is_bad.all():
        return None
    return {
        "model": float(average_precision_score(is_bad, trial.predict(train, rest))),
        "forest": float(average_precision_score(is_bad, -trial.isolation[verdicts.rows[rest]])),
        "n": len(rest),
        "n_bad": int(is_bad.sum()),
    }


def _notes(verdicts: Verdicts, held: _Held, random_share_rows: np.ndarray) -> list[str]:
    notes = []
    if not held.is_usable:
        notes.append(
            "Nothing could be held out: good and bad labels from at least two wells each are needed. "
            "Label more images; the numbers come by themselves."
        )
    elif min(verdicts.n_good, verdicts.n_bad) < 10:
        rarer, n = ("bad", verdicts.n_bad) if verdicts.n_bad < verdicts.n_good else ("good", verdicts.n_good)
        notes.append(f"Only {n} {rarer} labels: the numbers are rough, as their intervals say.")
    if held.is_usable:
        notes.append(
            "Labels that the queue chose are harder and hold more bad images than the experiment. Numbers on them "
            "compare models; what the experiment as a whole would show is told by the random share."
        )
    n_random = int(np.isin(verdicts.rows, random_share_rows).sum())
    if n_random < FEWEST_AT_RANDOM:
        notes.append(
            f"{n_random} labels were drawn blindly; from {FEWEST_AT_RANDOM} on they are reported on their own."
        )
    return notes
