"""What every metric means, straight from the registry that computes it."""

from __future__ import annotations

import math

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from imaging.metrics import METRIC_SET_VERSION, PAIR_METRICS, PLANE_METRICS, Metric
from imaging.metrics.registry import CELLPROFILER


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    groups = [
        ("As CellProfiler computes them", [one for one in PLANE_METRICS if one.prefix == CELLPROFILER]),
        ("Our own, of one channel", [one for one in PLANE_METRICS if one.prefix != CELLPROFILER]),
        ("Our own, of two channels", list(PAIR_METRICS)),
    ]
    context = {
        "groups": [(title, [(one, _range(one)) for one in found]) for title, found in groups],
        "version": METRIC_SET_VERSION,
        "n": len(PLANE_METRICS),
        "n_pairs": len(PAIR_METRICS),
    }
    return render(request, "labeling/metrics.html", context)


def _range(metric: Metric) -> str:
    """Such as "0 to 1", "from 0" or "any number"."""
    low, high = metric.range
    if math.isinf(low) and math.isinf(high):
        return "any number"
    if math.isinf(high):
        return f"from {low:g}"
    return f"{low:g} to {high:g}" if not math.isinf(low) else f"up to {high:g}"
