"""The page about metrics is made from the registry: nothing is missing, nothing is told twice."""

from imaging.metrics import PAIR_METRICS, PLANE_METRICS
from tests.labeling.pages.conftest import text_of


def test_every_metric_of_the_registry_is_explained_once(as_outsider):
    page = text_of(as_outsider.get("/help/metrics/"))
    for metric in [*PLANE_METRICS, *PAIR_METRICS]:
        assert page.count(f'<tr id="{metric.key}">') == 1
    assert page.count("Feeds the isolation forest") == sum(m.for_scoring for m in [*PLANE_METRICS, *PAIR_METRICS])
    assert "inf" not in page.split("<tbody>")[1].split("</tbody>")[0].lower().replace("information", "")
