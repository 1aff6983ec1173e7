"""What is known of columns that other software wrote."""

import pytest

from imaging.metrics import metric_columns, parse_column
from imaging.metrics.foreign import channel_of_column, columns_for_scoring, meaning_of, title_of

CHANNELS = ("DNA", "ER")


@pytest.mark.parametrize("column", metric_columns(CHANNELS))
def test_our_own_columns_mean_what_the_registry_says(column):
    assert meaning_of(column, CHANNELS) == parse_column(column, CHANNELS)


@pytest.mark.parametrize(
    ("column", "key", "channel", "title"),
    [
        ("ImageQuality_Correlation_OrigDNA_20", "ImageQuality_Correlation_20", "OrigDNA", "Correlation at 20"),
        ("ImageQuality_Correlation_Orig_DNA_50", "ImageQuality_Correlation_50", "Orig_DNA", "Correlation at 50"),
        ("ImageQuality_FocusScore_w1", "ImageQuality_FocusScore", "w1", "FocusScore"),
        ("ImageQuality_ThresholdOtsu_DNA_3FW", "ImageQuality_ThresholdOtsu_3FW", "DNA", "ThresholdOtsu at 3FW"),
        ("CellQC_Percentile_Mito_99.9", "CellQC_Percentile_99.9", "Mito", "Percentile at 99.9"),
        ("ImageQuality_PercentMaximal_DNA", "ImageQuality_PercentMaximal", "DNA", "PercentMaximal"),
    ],
)
def test_other_channels_and_scales_are_known(column, key, channel, title):
    metric, found = meaning_of(column, ())
    assert (metric.key, found, title_of(metric)) == (key, channel, title)
    assert metric.description
    assert channel_of_column(column) == channel


def test_other_columns_are_called_by_their_name():
    metric, channel = meaning_of("Count_Big_Cells", CHANNELS)
    assert (title_of(metric), metric.unit, channel) == ("Count_Big_Cells", "", "")
    assert channel_of_column("Count_Big_Cells") == ""
    assert channel_of_column("CellQC_PixelCorrelation_DNA_ER") == ""


def test_a_score_rests_on_what_the_registry_chose_where_the_set_has_it():
    columns = [*metric_columns(CHANNELS), "Count_Cells"]
    chosen = [columns[n] for n in columns_for_scoring(columns, CHANNELS)]
    assert chosen == [one for one in columns[:-1] if parse_column(one, CHANNELS)[0].for_scoring]


def test_a_score_of_other_software_rests_on_all_but_set_up():
    columns = ["ImageQuality_FocusScore_DNA", "ImageQuality_Scaling_DNA", "ImageQuality_TotalArea_DNA", "Count_Cells"]
    assert columns_for_scoring(columns, ()) == [0, 3]
