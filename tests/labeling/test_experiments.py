"""Making experiments, describing their wells, and how their channels are shown."""

from __future__ import annotations

import pytest

from imaging.platemap import read_platemap
from labeling.models import AuditEvent, Experiment, Image, ImageFile, Job, Well
from labeling.problems import BadValue
from labeling.services.experiments import (
    add_channels,
    apply_platemap,
    colour_of,
    create_experiment,
    set_display_ranges,
)
from labeling.services.overview import n_files_of, progress_of
from tests.factories import add_scores, make_experiment

# --- new ----------------------------------------------------------------------------------------------


def test_an_experiment_has_a_name_and_a_maker(scientist):
    experiment = create_experiment("  Screen 12 pilot ", by=scientist)
    assert (experiment.name, experiment.created_by) == ("Screen 12 pilot", scientist)
    event = AuditEvent.objects.get()
    assert (event.action, event.new, event.experiment) == (
        "experiment.created",
        {"name": "Screen 12 pilot"},
        experiment,
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Give the experiment a name."),
        ("   ", "Give the experiment a name."),
        ("x" * 201, "longer than 200 characters"),
        ("Plate 0412", "There is an experiment called 'Plate 0412' already"),
        (" Plate 0412 ", "There is an experiment called 'Plate 0412' already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(experiment, scientist, name, sentence):
    with pytest.raises(BadValue, match=sentence):
        create_experiment(name, by=scientist)
    assert Experiment.objects.count() == 1


# --- channels -----------------------------------------------------------------------------------------


def test_channels_keep_the_order_they_were_added_in(scientist):
    experiment = create_experiment("Screen", by=scientist)
    add_channels(experiment, ["ER", "DNA"])
    channels = add_channels(experiment, ["DNA", "Mito"])
    assert [channel.name for channel in experiment.channels.all()] == ["ER", "DNA", "Mito"]
    assert set(channels) == {"ER", "DNA", "Mito"}


def test_a_single_channel_is_shown_grey(scientist):
    alone = add_channels(create_experiment("Screen", by=scientist), ["DNA"])
    assert alone["DNA"].colour == "#ffffff"


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("DNA", "#4c7dff"),
        ("Hoechst 33342", "#4c7dff"),
        ("ER", "#35d06a"),
        ("er_488 laser", "#35d06a"),
        ("RNA", "#b6e34a"),
        ("AGP", "#ff9a3c"),
        ("MitoTracker", "#ff4b4b"),
        ("Filter 3", "#4c7dff"),
        ("w1", "#4c7dff"),
    ],
)
def test_channels_have_the_usual_false_colours(name, colour):
    assert colour_of(name, 0) == colour


# --- plate maps -----------------------------------------------------------------------------------------

MAP = b"well,role,control_class,compound\nA01,control,M0,DMSO\nA02,sample,,aspirin\nB03,empty,,\n"


def well(experiment, name, barcode="0412"):
    return next(one for one in Well.objects.filter(plate__barcode=barcode) if one.name == name)


def apply(experiment, content, by):
    return apply_platemap(experiment, read_platemap(content, "map.csv"), by=by)


def test_a_plate_map_says_what_is_in_the_wells(experiment, scientist):
    assert apply(experiment, MAP, scientist) == []
    control, sample, empty = (well(experiment, name) for name in ("A01", "A02", "B03"))
    assert (control.role, control.control_class, control.treatment) == ("control", "M0", {"compound": "DMSO"})
    assert (sample.role, sample.control_class, sample.treatment) == ("sample", "", {"compound": "aspirin"})
    assert empty.role == "empty"
    assert well(experiment, "A03").role == "sample"


def test_a_map_without_plates_goes_to_every_plate(scientist):
    experiment = make_experiment(scientist, plates=("A", "B"))
    apply(experiment, MAP, scientist)
    assert {well(experiment, "A01", plate).control_class for plate in ("A", "B")} == {"M0"}


def test_a_row_that_names_a_plate_goes_there_only(scientist):
    experiment = make_experiment(scientist, plates=("A", "B"))
    errors = apply(experiment, b"plate,well,role\nB,A01,control\nC,A01,control\n", scientist)
    assert (well(experiment, "A01", "A").role, well(experiment, "A01", "B").role) == ("sample", "control")
    assert errors == ["Plate map: there is no plate C in Plate 0412 (well A01)."]


def test_other_experiments_keep_their_wells(experiment, scientist):
    make_experiment(scientist, name="Other", plates=("9",))
    apply(experiment, MAP, scientist)
    assert set(Well.objects.filter(plate__barcode="9").values_list("role", flat=True)) == {"sample"}


def test_bad_rows_are_told_and_the_others_applied(experiment, scientist):
    errors = apply(experiment, b"well,role\nA01,control\nQQ99,control\nA02,king\n", scientist)
    assert len(errors) == 2
    assert errors[0].startswith("map.csv, row 3, well: ")
    assert errors[1].startswith("map.csv, row 4, role: ")
    assert well(experiment, "A01").role == "control"


def test_applying_a_map_twice_changes_nothing_more(experiment, scientist):
    apply(experiment, MAP, scientist)
    before = list(Well.objects.order_by("id").values())
    apply(experiment, MAP, scientist)
    assert list(Well.objects.order_by("id").values()) == before
    first, second = AuditEvent.objects.filter(action="platemap.applied").order_by("sequence")
    assert (first.new["wells_changed"], second.new["wells_changed"]) == (3, 0)
    assert (first.actor, first.new["rows"], first.new["errors"]) == (scientist, 3, 0)


# --- display ranges -------------------------------------------------------------------------------------


def ranges(experiment):
    return {channel.name: channel.display_range for channel in experiment.channels.all()}


def test_new_ranges_are_saved_and_the_old_ones_are_in_the_audit(experiment, scientist):
    set_display_ranges(experiment, {"DNA": (50, 900.5)}, by=scientist, reason="too dark")
    assert ranges(experiment) == {"DNA": (50, 900.5), "ER": (100, 5000)}
    event = AuditEvent.objects.get(action="display.changed")
    assert (event.old, event.new) == ({"DNA": [100, 5000]}, {"DNA": [50, 900.5]})
    assert (event.reason, event.actor) == ("too dark", scientist)


def test_thumbnails_are_drawn_anew(experiment, scientist):
    job = set_display_ranges(experiment, {"DNA": (50, 900)}, by=scientist)
    assert (job.kind, job.state, job.requested_by) == ("thumbnails", "queued", scientist)


def test_nothing_is_drawn_before_anything_was_measured(scientist):
    assert set_display_ranges(make_experiment(scientist), {"DNA": (50, 900)}, by=scientist) is None
    assert not Job.objects.exists()


def test_ranges_can_change_again_while_the_redrawing_waits(experiment, scientist):
    first = set_display_ranges(experiment, {"DNA": (50, 900)}, by=scientist)
    assert set_display_ranges(experiment, {"DNA": (60, 800)}, by=scientist) == first
    assert ranges(experiment)["DNA"] == (60, 800)
    assert Job.objects.count() == 1


def test_ranges_that_change_while_it_draws_are_drawn_after(experiment, scientist):
    first = set_display_ranges(experiment, {"DNA": (50, 900)}, by=scientist)
    Job.objects.update(state=Job.State.RUNNING)
    assert set_display_ranges(experiment, {"DNA": (60, 800)}, by=scientist) != first


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"DNA": (900, 50)}, "DNA: the upper value 50 must be larger than the lower value 900"),
        ({"DNA": (50, 50)}, "must be larger"),
        ({"DNA": (float("nan"), 50)}, "must be larger"),
        ({"Mito": (1, 2)}, "There is no channel Mito in Plate 0412"),
        ({"DNA": (1, 2), "ER": (2, 1)}, "ER: the upper value 1 must be larger"),
    ],
)
def test_a_range_that_makes_no_sense_changes_nothing(experiment, scientist, given, sentence):
    with pytest.raises(BadValue, match=sentence):
        set_display_ranges(experiment, given, by=scientist)
    assert ranges(experiment) == {"DNA": (100, 5000), "ER": (100, 5000)}
    assert not Job.objects.exists()


# --- progress -------------------------------------------------------------------------------------------


def test_progress_counts_each_experiment_in_six_queries(experiment, scientist, django_assert_num_queries):
    from labeling.services.labels import NewLabel, label_images, undo_label
    from labeling.services.overview import Progress, progress_of

    other = make_experiment(scientist, name="Other", plates=("A", "B"), rows=1, columns=1)
    other.images.filter(plate__barcode="B").update(state="failed", problem="torn")
    one, two, three = experiment.images.all()[:3]
    label_images([NewLabel(image.pk, "good") for image in (one, two, three)], by=scientist)
    label_images([NewLabel(one.pk, "bad")], by=scientist)
    undo_label(two, by=scientist)
    empty = create_experiment("Empty", by=scientist)
    experiments = list(Experiment.objects.prefetch_related("channels"))
    with django_assert_num_queries(6):
        progress = progress_of(experiments)
    assert progress[experiment.pk] == Progress(n_plates=1, n_images=12, n_measured=12, n_broken=0, n_labelled=2)
    assert progress[other.pk] == Progress(n_plates=2, n_images=4, n_measured=0, n_broken=2, n_labelled=0)
    assert progress[empty.pk] == Progress(0, 0, 0, 0, 0)


def test_measured_means_with_the_metrics_of_today(experiment, scientist):
    from labeling.models import MetricSet
    from labeling.services.overview import progress_of

    MetricSet.objects.update(version="an old one")
    assert progress_of([experiment])[experiment.pk].n_measured == 0
    add_scores(experiment, by=scientist)
    assert progress_of([experiment])[experiment.pk].n_measured == 12


def test_files_are_counted_where_some_are_missing(scientist):
    half = make_experiment(scientist)
    images = list(half.images.all())
    images[3].files.first().delete()
    Image.objects.filter(pk=images[3].pk).update(state="incomplete", problem="DNA: there is no file")
    Image.objects.filter(pk=images[4].pk).update(state="failed", problem="cut off")
    make_experiment(scientist, name="Another")
    assert (
        n_files_of(half, progress_of([half])[half.pk]) == 23 == ImageFile.objects.filter(image__experiment=half).count()
    )
