"""Why an image is suspected, in the words of a microscopist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.ensemble import IsolationForest

from imaging.metrics import Metric
from imaging.metrics.foreign import meaning_of
from training.learners.phenomena import PHENOMENA, UNNAMED, Evidence, Phenomenon, sign_of
from training.learners.tree_arrays import of_isolation_forest

# A column that lies among the others of its plate has nothing to say, whatever a tree made of it.
USUAL_Z = 1.0
# Beyond this a deviation says no more.
PLAIN_Z = 5.0
EVERYWHERE = 0.25
# How the columns are called that a network made.
EMBEDDING = "Embedding_"
UNLIKE = "looks unlike the rest of the plate in a way no single metric names"


@dataclass(frozen=True)
class Reason:
    """One thing that speaks against an image: a phrase, the column it rests on most, how much it counts (0..1, a share
    of all that speaks against this image), and the kinds of defect it may be.

    `code` names what it is, for programs: a phenomenon's name or a metric's key. `value` of the column and the `share`
    of the plate's images it goes beyond (0..1); None where the column is no metric."""

    text: str
    column: str
    strength: float
    kinds: tuple[str, ...] = ()
    code: str = ""
    value: float | None = None
    share: float | None = None


def forest_attributions(forest: IsolationForest, features: np.ndarray) -> np.ndarray:
    """How much each column of these rows makes them easy to isolate, (N, P) float64; higher is more suspect.

    By how much the expected path shortens at each cut of the forest's own trees, as a share of the usual length.
    """
    trees = of_isolation_forest(forest)
    usual = float(trees.value[trees.starts].mean())
    return -trees.contributions(features) / usual


def blend_attributions(of_forest: np.ndarray, of_classifier: np.ndarray, weight: float | np.ndarray) -> np.ndarray:
    """Attributions of a blend (R, P), higher is more suspect.

    `of_forest` from `forest_attributions`, `of_classifier` from `BlendedLearner.contributions` (towards good),
    `weight` the classifier's, one for all or one for each row (R, 1). Each part counts as a share of what it holds
    against the image.
    """
    suspect = []
    for part in (of_forest, -of_classifier):
        against = np.maximum(part, 0)
        suspect.append(against / np.maximum(against.sum(axis=1, keepdims=True), 1e-12))
    blended: np.ndarray = (1 - weight) * suspect[0] + weight * suspect[1]
    return blended


def explain(
    values: np.ndarray,
    robust_z: np.ndarray,
    columns: Sequence[str],
    channels: Sequence[str],
    *,
    rows: np.ndarray,
    attributions: np.ndarray,
    most: int = 3,
) -> list[list[Reason]]:
    """Reasons against the images `rows`, the strongest first; an empty list where nothing speaks against one.

    Parameters
    ----------
    values (N, P), robust_z (N, P) : raw metrics of a plate, which "this plate" in the words means, and the same in
        robust SDs.
    columns (P,), channels : names as in the metric set, and the experiment's channels. A column that is no metric, as
        a component of an embedding, is counted together with its like.
    rows (R,) : which images to explain.
    attributions (R, P) : higher is more suspect, such as `forest_attributions` or `blend_attributions`; 0 for columns
        the model does not use.
    """
    meanings = [_meaning(column, tuple(channels)) for column in columns]
    voices = [_voices(meaning) for meaning in meanings]
    is_metric = np.array([meaning is not None for meaning in meanings])
    explained = []
    for row, added in zip(rows, np.maximum(attributions, 0), strict=True):
        weights = _weigh(voices, is_metric, added, robust_z[row])
        explained.append(_reasons_of(weights, meanings, values, robust_z[row], row, columns, len(channels), most))
    return explained


@lru_cache(maxsize=4096)
def _meaning(column: str, channels: tuple[str, ...]) -> tuple[Metric, str] | None:
    return None if column.startswith(EMBEDDING) else meaning_of(column, channels)


# What a column speaks for when it is low and when it is high: phenomena and how plainly.
Voices = tuple[list[tuple[Phenomenon, float]], list[tuple[Phenomenon, float]]]


def _voices(meaning: tuple[Metric, str] | None) -> Voices:
    if meaning is None:
        return [(UNNAMED, 0.5)], [(UNNAMED, 0.5)]
    said = []
    for is_high in (False, True):
        sign = sign_of(meaning[0], is_high)
        spoken = [(phenomenon, phenomenon.signs[sign]) for phenomenon in PHENOMENA if sign in phenomenon.signs]
        # Nothing a microscopist has a word for: the metric's own words.
        said.append(spoken or [(Phenomenon(meaning[0].key, ()), 0.5)])
    return said[0], said[1]


def _weigh(
    voices: Sequence[Voices], is_metric: np.ndarray, added: np.ndarray, z: np.ndarray
) -> dict[Phenomenon, dict[int, float]]:
    """What each column adds to each phenomenon: its attribution, by how plainly it speaks for it."""
    weights: dict[Phenomenon, dict[int, float]] = {}
    plainness = np.where(is_metric, np.minimum(np.abs(z), PLAIN_Z) / PLAIN_Z, 1.0)
    speaking = np.flatnonzero((added > 0) & (~is_metric | (np.abs(z) > USUAL_Z)))
    for n, weight in zip(speaking.tolist(), (added * plainness)[speaking].tolist(), strict=True):
        for phenomenon, plainly in voices[n][int(z[n] > 0)]:
            weights.setdefault(phenomenon, {})[n] = weight * plainly
    return weights


def _reasons_of(
    weights: dict[Phenomenon, dict[int, float]],
    meanings: Sequence[tuple[Metric, str] | None],
    values: np.ndarray,
    z: np.ndarray,
    row: int,
    columns: Sequence[str],
    n_channels: int,
    most: int,
) -> list[Reason]:
    strengths = {phenomenon: sum(parts.values()) for phenomenon, parts in weights.items()}
    total = sum(strengths.values())
    reasons = []
    for phenomenon in sorted(strengths, key=lambda one: (-strengths[one], one.name))[:most]:
        parts = weights[phenomenon]
        leading = max(parts, key=lambda n: (parts[n], -n))
        meaning = meanings[leading]
        strength = strengths[phenomenon] / total
        if meaning is None:
            reasons.append(Reason(UNLIKE, columns[leading], strength, phenomenon.kinds, phenomenon.name))
            continue
        evidence = _evidence(
            leading, meaning, parts, meanings, values[:, leading], values[row, leading], z[leading], n_channels
        )
        said = phenomenon.say(evidence)
        reasons.append(
            Reason(said, columns[leading], strength, phenomenon.kinds, phenomenon.name, evidence.value, evidence.share)
        )
    return reasons


def _evidence(
    leading: int,
    meaning: tuple[Metric, str],
    parts: dict[int, float],
    meanings: Sequence[tuple[Metric, str] | None],
    everywhere: np.ndarray,
    value: float,
    z: float,
    n_channels: int,
) -> Evidence:
    metric, channel = meaning
    is_high = bool(z > 0)
    beyond = everywhere < value if is_high else everywhere > value
    by_channel: dict[str, float] = {}
    for n, part in parts.items():
        of_part = meanings[n]
        if of_part is not None and " and " not in of_part[1]:
            by_channel[of_part[1]] = by_channel.get(of_part[1], 0.0) + part
    strongest = max(by_channel.values(), default=0.0)
    n_strong = sum(part > EVERYWHERE * strongest for part in by_channel.values())
    defined = max(int((~np.isnan(everywhere)).sum()), 1)
    return Evidence(
        metric, channel, float(value), is_high, float(beyond.sum()) / defined, n_channels > 1 and n_strong == n_channels
    )
