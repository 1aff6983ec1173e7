"""Data the learning benchmark asks its simulated scientist about: measured plates, and tables made of numbers alone.

Measured plates are kept under var/benchmarks/, because drawing and measuring one takes about a minute.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.embeddings import EmbeddingRecipe, find_network
from imaging.embeddings.fields import embed_planes
from imaging.metrics import METRIC_SET_VERSION, measure_field_planes, metric_columns, parse_column
from imaging.previews import DisplayRange
from imaging.simulate import PlateRecipe, plan_plate, render_field
from training.learners.company import company, with_company
from training.learners.isolation import IsolationScorer
from training.learners.reduce import EmbeddingReducer
from training.learners.scaling import robust_features, varying_columns

ROOT = Path(__file__).resolve().parent.parent
RANGE_FROM = 7  # one field in so many tells what a channel shows black and white
# Plates that settings were chosen on, and plates that no setting has seen. Layouts differ: 1, 2 or 4 sites a well.
TUNED_ON = (101, 102, 103, 104)
REPORTED_ON = (201, 202, 203, 401, 402, 403)
LAYOUTS = ((16, 24, 1), (16, 12, 2), (8, 12, 4))
BAD_SHARES = (0.11, 0.12, 0.10)


@dataclass(frozen=True)
class LearningSet:
    """One experiment as the learners see it, and the truth that only the simulated scientist knows.

    features (N, P) float32, isolation (N,) -1 to 0, outlook (N,) as in `LearningTable`, wells and plates (N,) int,
    is_bad (N,) bool; defects and treatments (N,) str, empty where there is none; phenotypes (N,) str.
    """

    name: str
    features: np.ndarray
    isolation: np.ndarray
    outlook: np.ndarray
    wells: np.ndarray
    plates: np.ndarray
    is_bad: np.ndarray
    defects: np.ndarray
    treatments: np.ndarray
    phenotypes: np.ndarray


@dataclass(frozen=True)
class MeasuredPlate:
    """Raw metrics (N, P) float64 of a simulated plate with its columns and its truth."""

    values: np.ndarray
    columns: tuple[str, ...]
    channels: tuple[str, ...]
    wells: np.ndarray
    is_bad: np.ndarray
    defects: np.ndarray
    severity: np.ndarray
    treatments: np.ndarray
    phenotypes: np.ndarray


def recipe_of(seed: int) -> PlateRecipe:
    """A plate of 384 fields; the seed decides layout, share of bad fields and everything on it."""
    rows, columns, sites = LAYOUTS[seed % len(LAYOUTS)]
    return PlateRecipe(seed=seed, rows=rows, columns=columns, sites=sites, bad_share=BAD_SHARES[seed % len(BAD_SHARES)])


def measured_plate(seed: int) -> MeasuredPlate:
    """The plate of a seed, drawn and measured the first time and read afterwards."""
    path = _cache() / f"plate-{seed}-metrics-{METRIC_SET_VERSION}.npz"
    recipe = recipe_of(seed)
    if not path.exists():
        _measure(recipe, path)
    stored = np.load(path, allow_pickle=False)
    return MeasuredPlate(columns=tuple(metric_columns(recipe.channels)), channels=recipe.channels, **stored)


def _cache() -> Path:
    folder = Path(os.environ.get("CELLQC_BENCHMARK_CACHE", ROOT / "var" / "benchmarks"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _measure(recipe: PlateRecipe, path: Path) -> None:
    plans = plan_plate(recipe)
    values = []
    for plan in plans:
        planes = list(render_field(recipe, plan))
        values.append(measure_field_planes(planes, [65535] * len(planes), [recipe.ceiling] * len(planes)))
    half = path.with_name(f"{path.stem}.part.npz")
    np.savez_compressed(
        half,
        values=np.array(values),
        wells=np.unique([plan.well for plan in plans], return_inverse=True)[1],
        is_bad=np.array([plan.is_bad for plan in plans]),
        defects=np.array([plan.defect for plan in plans]),
        severity=np.array([plan.severity for plan in plans]),
        treatments=np.array([f"{plan.compound} {plan.concentration_um:g} uM" for plan in plans]),
        phenotypes=np.array([plan.phenotype for plan in plans]),
    )
    half.replace(path)


def embedding_vectors(seed: int) -> np.ndarray:
    """What our own network sees in the plate's fields, (N, D) float32; looked at once and read afterwards."""
    network, recipe = find_network("", cache=_cache()), recipe_of(seed)
    path = _cache() / f"plate-{seed}-vectors-{hashlib.sha256(network.version.encode()).hexdigest()[:12]}.npy"
    if not path.exists():
        plans = plan_plate(recipe)
        some = np.array([render_field(recipe, plan) for plan in plans[::RANGE_FROM]])
        ends = [np.percentile(some[:, channel, ::2, ::2], (1, 99.8)) for channel in range(some.shape[1])]
        look = EmbeddingRecipe(network, tuple(DisplayRange(int(dark), int(bright)) for dark, bright in ends))
        np.save(path, np.array([embed_planes(list(render_field(recipe, plan)), look) for plan in plans], np.float32))
    return np.load(path)


def scoring_columns(columns: Sequence[str], channels: Sequence[str]) -> np.ndarray:
    """Positions of the metrics that serve scoring."""
    return np.array([n for n, column in enumerate(columns) if parse_column(column, channels)[0].for_scoring])


def simulated_plate(seed: int, *, with_embeddings: bool = True, only_varying: bool = True) -> LearningSet:
    """A simulated plate with its features: robust metrics and reduced embeddings beside them, or metrics alone.

    With `only_varying` False no metric is left out, so that the features of every plate are the same.
    """
    plate = measured_plate(seed)
    plates = np.zeros(len(plate.values), int)
    values = plate.values[:, scoring_columns(plate.columns, plate.channels)].astype(np.float32)
    if only_varying:
        values = values[:, varying_columns(values)]
    features, seen = robust_features(values, plates).astype(np.float32), None
    if with_embeddings:
        seen = EmbeddingReducer(random_state=seed).fit_transform(embedding_vectors(seed), plates)
        features = np.hstack([features, seen])
    scorer = IsolationScorer(random_state=seed).fit(values, plates, embeddings=seen)
    isolation = scorer.score_samples(values, plates, embeddings=seen)
    return LearningSet(
        name=f"plate {seed}",
        features=features,
        isolation=isolation,
        outlook=with_company(isolation, company(features, plates, plate.wells, random_state=seed)),
        wells=plate.wells,
        plates=plates,
        is_bad=plate.is_bad,
        defects=plate.defects,
        treatments=plate.treatments,
        phenotypes=plate.phenotypes,
    )


def nearly_blind_table(seed: int, *, n_rows: int = 864, n_bad: int = 79) -> LearningSet:
    """Metrics without pixels, of which the forest knows next to nothing: bad fields that are no outliers.

    Good fields come in several treatments of unlike size, some rare and far out, so that the forest flags those.
    Bad fields come in three kinds, each a small shift of a few columns against other fields of its treatment,
    inside the range the good ones span.
    """
    rng = np.random.default_rng((seed, 79))
    n_columns, n_factors = 28, 8
    shares = np.array([0.34, 0.22, 0.16, 0.12, 0.08, 0.05, 0.03])
    treatment = rng.choice(len(shares), n_rows, p=shares / shares.sum())
    centres = rng.normal(0, 1.2, (len(shares), n_factors)) * np.linspace(0.5, 2.2, len(shares))[:, None]
    factors = centres[treatment] + rng.standard_t(5, (n_rows, n_factors))
    loadings = rng.normal(0, 1, (n_factors, n_columns))
    values = factors @ loadings + rng.normal(0, 0.9, (n_rows, n_columns))
    # Bad fields among the two commonest treatments, where the forest finds everything usual.
    common = np.flatnonzero(treatment < 2)
    bad = rng.choice(common, n_bad, replace=False)
    kinds = rng.choice(3, n_bad, p=[0.5, 0.3, 0.2])
    spread = values.std(axis=0)
    for kind in range(3):
        columns = rng.choice(n_columns, 5, replace=False)
        direction = rng.choice([-1.0, 1.0], 5)
        rows = bad[kinds == kind]
        middle = np.median(values[common][:, columns], axis=0)
        size = rng.uniform(0.9, 1.4, (len(rows), 1))
        # Typical of everything else: pulled towards the middle, then moved in a few columns that move together.
        values[rows] = 0.6 * values[rows] + 0.4 * np.median(values[common], axis=0)
        values[np.ix_(rows, columns)] = (
            middle + direction * size * spread[columns] + rng.normal(0, 0.25, (len(rows), 5)) * spread[columns]
        )
    is_bad = np.zeros(n_rows, bool)
    is_bad[bad] = True
    defects = np.full(n_rows, "", dtype="<U12")
    defects[bad] = np.array(["kind 1", "kind 2", "kind 3"])[kinds]
    plates = np.zeros(n_rows, int)
    isolation = IsolationScorer(random_state=seed).fit(values, plates).score_samples(values, plates)
    features, wells = robust_features(values, plates).astype(np.float32), rng.permutation(n_rows) // 3
    return LearningSet(
        name=f"nearly blind {seed}",
        features=features,
        isolation=isolation,
        outlook=with_company(isolation, company(features, plates, wells, random_state=seed)),
        wells=wells,
        plates=plates,
        is_bad=is_bad,
        defects=defects,
        treatments=np.array([f"treatment {number}" for number in treatment]),
        phenotypes=np.array([f"treatment {number}" if number >= 4 else "" for number in treatment]),
    )
