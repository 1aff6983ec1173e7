"""What a microscopist would call it: which metrics speak for which kind of bad image, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from imaging.metrics import Metric

# How plainly a high (+) or a low (-) value of a metric speaks for a phenomenon: 1 plainly, less where it speaks for
# others too. Percentiles are named by whether they lie in the dark or the bright part of the field.
Signs = dict[str, float]


@dataclass(frozen=True, eq=False)  # looked up by identity
class Phenomenon:
    """One thing that can be wrong with an image.

    kinds : the defects (`labeling` names them alike) it may be. signs : see above. say : the words, from the leading
    metric's channel, its value, whether all channels suffer, and how it ranks ("blurrier than 99 % of this plate").
    """

    name: str
    kinds: tuple[str, ...]
    signs: Signs = field(default_factory=dict)
    say: Callable[[Evidence], str] = field(default=lambda evidence: evidence.ranked)


@dataclass(frozen=True)
class Evidence:
    """The leading column of a phenomenon on one image. `share` of the plate's images it goes beyond, 0..1."""

    metric: Metric
    channel: str
    value: float
    is_high: bool
    share: float
    is_everywhere: bool

    @property
    def where(self) -> str:
        return "all channels" if self.is_everywhere else f"{self.channel} channel"

    @property
    def rank(self) -> str:
        """Never "than 100 %": the image is part of the plate itself."""
        percent = 100 * self.share
        return (
            f"than {min(percent, 99.9):.1f} % of this plate" if percent > 99 else f"than {percent:.0f} % of this plate"
        )

    @property
    def ranked(self) -> str:
        means = self.metric.higher_means if self.is_high else self.metric.lower_means
        about = f"{self.channel} channel" if self.channel else self.metric.name
        return f"{about} {means} {self.rank}"


def _saturated(evidence: Evidence) -> str:
    if evidence.metric.name == "SaturatedPercent":
        return f"{evidence.value:.2g} % of pixels at the camera's ceiling in {evidence.channel} (saturated)"
    return f"{evidence.where} far too bright, more {evidence.rank} (saturated?)"


def _blurred(evidence: Evidence) -> str:
    return f"{evidence.where} blurrier {evidence.rank}"


def _empty(evidence: Evidence) -> str:
    if evidence.is_everywhere and evidence.share > 0.97:
        return "no cells, or next to none: all channels emptier and flatter " + evidence.rank
    return f"{evidence.where} emptier {evidence.rank} (few or no cells)"


def _uneven(evidence: Evidence) -> str:
    return f"{evidence.where} lit less evenly {evidence.rank} (shadow, uneven light)"


def _line(evidence: Evidence) -> str:
    return f"a longer bright line in {evidence.channel} {evidence.rank} (fibre, or the rim of a bubble or of debris?)"


def _spot(evidence: Evidence) -> str:
    if evidence.metric.name == "BrightestTile":
        return f"one tile far brighter than the rest in {evidence.channel} (fibre or debris?)"
    return f"something bright that does not look like cells, most in {evidence.channel} (debris or fibre?)"


def _residue(evidence: Evidence) -> str:
    return f"{evidence.where} hazy, brighter between the cells {evidence.rank} (dried out, bubble or debris?)"


PHENOMENA = (
    Phenomenon(
        "saturated",
        ("saturated",),
        {
            "SaturatedPercent+": 3,
            "PercentMaximal+": 0.5,
            "LaplacianVariance+": 0.6,
            "BrightPercentile+": 0.7,
            "SharpnessToNoise+": 0.6,
            "ContrastToNoise+": 0.4,
        },
        _saturated,
    ),
    Phenomenon(
        "blur",
        ("blur",),
        {
            "RobustPowerLogLogSlope-": 1,
            "NoiseFreeSharpness-": 1,
            "SharpnessToNoise-": 0.8,
            "LaplacianVariance-": 1,
            "CoarseSharpness-": 0.6,
            "LocalFocusScore-": 0.5,
            "RobustCorrelation+": 0.8,
            "Tenengrad-": 0.6,
            "Brenner-": 0.6,
        },
        _blurred,
    ),
    Phenomenon(
        "empty",
        ("empty",),
        {
            "ForegroundPercent-": 1.5,
            "ContrastToNoise-": 1.5,
            "SharpnessToNoise-": 0.8,
            "NoiseFreeSharpness-": 0.6,
            "CoarseSharpness-": 0.8,
            "RidgeLength-": 1.5,
            "BlobLength-": 1.5,
            "BrightPercentile-": 1,
            "Entropy-": 0.5,
        },
        _empty,
    ),
    Phenomenon(
        "uneven light",
        ("uneven light",),
        {"LightTilt+": 1.3, "LightFalloff+": 0.8, "QuadrantRatio-": 0.8, "DarkPercentile-": 0.5},
        _uneven,
    ),
    Phenomenon(
        "line",
        ("fibre", "bubble", "debris"),
        {"RidgeLength+": 1.6, "BlobLength+": 1.4, "BlobElongation+": 0.8, "BrightestLength+": 0.8},
        _line,
    ),
    Phenomenon(
        "spot",
        ("debris", "fibre"),
        {
            "BrightestTile+": 1.5,
            "TileMeanDeviation+": 1,
            "TileSpreadDeviation+": 1,
            "BlobShare+": 0.7,
            "BlobAreaPercent+": 0.7,
            "BackgroundDeviation+": 0.7,
            "PixelCorrelation+": 0.8,
            "BrightPercentile+": 0.6,
            "ContrastToNoise+": 0.7,
            "LightFalloff+": 0.3,
            "LaplacianVariance+": 0.3,
        },
        _spot,
    ),
    Phenomenon(
        "residue",
        ("dried", "bubble", "debris"),
        {
            "DarkPercentile+": 1.1,
            "ForegroundPercent+": 1.0,
            "PixelCorrelation+": 0.5,
            "BrightPercentile+": 0.3,
            "LightPatchiness+": 0.8,
            "SharpnessToNoise-": 0.3,
            "RobustPowerLogLogSlope-": 0.3,
        },
        _residue,
    ),
)
UNNAMED = Phenomenon("other", ())


def sign_of(metric: Metric, is_high: bool) -> str:
    """The name under which `Phenomenon.signs` lists a high or low value of a metric."""
    name = metric.name
    if name == "Percentile":
        name = "DarkPercentile" if float(metric.scale or 50) <= 50 else "BrightPercentile"
    return name + ("+" if is_high else "-")
