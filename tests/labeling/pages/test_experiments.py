"""The list of experiments, and a new one."""

from __future__ import annotations

import pytest

from labeling.models import AuditEvent, Experiment, Job
from labeling.services.labels import NewLabel, label_images
from tests.factories import make_experiment, make_scored_experiment
from tests.labeling.pages.conftest import HTMX, look_and_take, text_of, told

# --- the list -------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do(as_scientist):
    shown = text_of(as_scientist.get("/"))
    assert "There is no experiment yet" in shown
    assert 'href="/experiments/new/"' in shown


def test_an_empty_list_tells_a_data_scientist_whom_to_ask(as_data_scientist):
    shown = text_of(as_data_scientist.get("/"))
    assert "A scientist can make one." in shown
    assert 'href="/experiments/new/"' not in shown


def test_the_list_counts_what_is_there(experiment, signed, scientist, as_scientist):
    make_experiment(scientist, name="Not measured", plates=("9",))
    label_images([NewLabel(experiment.images.first().pk, "good")], by=scientist)
    rows = {
        one.name: (progress, scored, signed) for one, progress, scored, signed in as_scientist.get("/").context["rows"]
    }
    progress, is_scored, is_signed = rows["Plate 0412"]
    assert (progress.n_plates, progress.n_images, progress.n_measured, progress.n_labelled) == (1, 12, 12, 1)
    assert (is_scored, is_signed) == (True, True)
    assert rows["Not measured"][1:] == (False, False)


def test_the_list_shows_the_newest_first(scientist, as_scientist):
    for name in ("First", "Second"):
        make_experiment(scientist, name=name, plates=(name,))
    shown = text_of(as_scientist.get("/"))
    assert shown.index("Second") < shown.index("First")


def test_the_list_costs_the_same_for_many_experiments(scientist, as_scientist, django_assert_num_queries):
    for n in range(3):
        make_scored_experiment(scientist, name=f"Screen {n}", plates=(f"P{n}",), rows=1, columns=2)
        # Session, person, roles; experiments, channels; four counts; scored; signed.
        with django_assert_num_queries(13):
            as_scientist.get("/")


# --- a new one ------------------------------------------------------------------------------------------


def make(client, folder, **given):
    """Look at a folder, then take it in, as a browser does without scripts."""
    return look_and_take(client, "/experiments/new/", {"name": "Screen 12", "source": str(folder), **given})


def test_a_new_experiment_is_taken_in_measured_and_scored(as_scientist, scientist, plate):
    response = make(as_scientist, plate)
    experiment = Experiment.objects.get()
    assert response["Location"] == f"/experiments/{experiment.pk}/"
    job = Job.objects.get()
    assert job.parameters == {"source": str(plate), "z": "middle"}
    assert (job.kind, job.followed_by) == ("ingest", ["measure", "score"])
    assert (experiment.name, job.requested_by) == ("Screen 12", scientist)
    assert AuditEvent.objects.get(action="experiment.created").origin == "page"


def test_a_pattern_of_ones_own_beats_the_layout(as_scientist, plate):
    pattern = "(?P<well>[A-P][0-9]+)_.*_(?P<channel>DNA|ER)_"
    make(as_scientist, plate, pattern=pattern, layout="well-plate-channel-site", plate="0412", z_number="3")
    assert Job.objects.get().parameters == {"source": str(plate), "layout": pattern, "plate": "0412", "z": "3"}


@pytest.mark.parametrize("missing", ["name", "source"])
def test_what_is_missing_is_said_beside_the_field(as_scientist, plate, missing):
    response = make(as_scientist, plate, **{missing: ""})
    assert response.status_code == 200
    (said,) = response.context["form"].errors[missing]
    assert said in text_of(response)
    assert not Experiment.objects.exists()


def test_an_unknown_layout_is_refused(as_scientist, plate):
    assert "layout" in make(as_scientist, plate, layout="ghost").context["form"].errors
    assert not Experiment.objects.exists()


def test_a_folder_the_admin_did_not_open_makes_no_experiment(as_scientist, tmp_path, settings):
    settings.SOURCES = [str(tmp_path / "plates")]
    response = make(as_scientist, tmp_path / "private")
    assert "private is not in a place images may be taken from" in text_of(response)
    assert not Experiment.objects.exists()


def test_a_taken_name_is_told_on_the_form(experiment, as_scientist, plate):
    page = "http://testserver/experiments/new/"
    given = {"name": experiment.name, "source": str(plate)}
    response = look_and_take(as_scientist, page, given, headers={"Referer": page}, follow=True)
    assert told(response) == [f"There is an experiment called '{experiment.name}' already; choose another name."]
    assert Experiment.objects.count() == 1


# --- one experiment's overview ------------------------------------------------------------------------


def overview(client, experiment, **options):
    return client.get(f"/experiments/{experiment.pk}/", **options)


def test_overview_of_an_empty_experiment_offers_the_first_step(scientist, as_scientist):
    empty = Experiment.objects.create(name="Empty", created_by=scientist)
    response = overview(as_scientist, empty)
    assert response.status_code == 200
    assert response.context["next_step"].name == "Ingest"
    for sentence in ("No plate yet.", "Channels show here once images are in.", "Nothing yet."):
        assert sentence in text_of(response)


def test_overview_offers_the_next_step(scientist, as_scientist):
    experiment = make_experiment(scientist)
    assert overview(as_scientist, experiment).context["next_step"].name == "Measure"
    assert "Measure 12 fields" in text_of(overview(as_scientist, experiment))


def test_overview_of_a_signed_experiment_has_every_number(experiment, signed, as_scientist):
    response = overview(as_scientist, experiment)
    context = response.context
    assert (context["n_images"], context["n_wells"], context["n_files"], context["n_due"]) == (12, 6, 24, 0)
    assert [step.is_done for step in context["steps"]] == [True, True, True, True, False, False, True]
    assert context["preview"].flagged == signed.cutoff.n_flagged
    assert "set 1 signed" in text_of(response)


def test_overview_tells_what_happened_without_every_label(experiment, scientist, as_scientist):
    label_images([NewLabel(experiment.images.first().pk, "good")], by=scientist)
    shown = text_of(overview(as_scientist, experiment))
    assert "experiment scored" in shown
    assert "image labelled" not in shown


def test_overview_offers_each_role_its_own(experiment, as_scientist, as_data_scientist):
    assert 'id="add-images"' in text_of(overview(as_scientist, experiment))
    assert 'id="add-images"' not in text_of(overview(as_data_scientist, experiment))


def test_overview_costs_the_same_for_many_images(scientist, as_scientist, django_assert_num_queries):
    for columns in (2, 6):
        experiment = make_scored_experiment(
            scientist, name=f"{columns} columns", plates=(str(columns),), columns=columns
        )
        with django_assert_num_queries(25):
            overview(as_scientist, experiment)


def test_progress_is_the_part_that_moves(experiment, scientist, as_scientist):
    still = text_of(as_scientist.get(f"/experiments/{experiment.pk}/progress/", headers=HTMX))
    assert still.lstrip().startswith('<section id="progress"')
    assert "<html" not in still
    assert "hx-get" not in still
    Job.objects.create(experiment=experiment, kind="measure", state="running", done=3, total=12, requested_by=scientist)
    moving = text_of(as_scientist.get(f"/experiments/{experiment.pk}/progress/", headers=HTMX))
    assert "every 2s" in moving
    assert "3 of 12" in moving


def test_a_failed_job_says_why(experiment, scientist, as_scientist):
    job = Job.objects.create(experiment=experiment, kind="measure", requested_by=scientist)
    Job.objects.filter(pk=job.pk).update(state="failed", message="The disk is full.", finished_at=job.requested_at)
    assert "✕ The disk is full." in text_of(overview(as_scientist, experiment))


# --- its forms ------------------------------------------------------------------------------------------


def post(client, experiment, what, data=None, **options):
    page = f"http://testserver/experiments/{experiment.pk}/"
    return client.post(f"{page}{what}/", data or {}, headers={"Referer": page}, follow=True, **options)


def test_images_are_added_to_an_experiment(experiment, as_scientist, plate):
    look_and_take(as_scientist, f"/experiments/{experiment.pk}/ingest/", {"source": str(plate)})
    assert Job.objects.get().kind == "ingest"


def test_adding_images_from_nowhere_says_so(experiment, as_scientist):
    for data in ({}, {"look": "1"}):
        assert "Name the folder that holds the images." in text_of(post(as_scientist, experiment, "ingest", data))
    assert not Job.objects.exists()


def test_measuring_is_followed_by_scoring(experiment, as_scientist):
    post(as_scientist, experiment, "measure")
    assert (Job.objects.get().kind, Job.objects.get().followed_by) == ("measure", ["score"])


def test_asking_twice_says_it_is_queued(experiment, as_scientist):
    post(as_scientist, experiment, "measure")
    assert told(post(as_scientist, experiment, "measure")) == ["This is queued already: measure Plate 0412."]


def test_a_plate_map_is_applied_and_its_errors_told(experiment, as_scientist, tmp_path):
    file = tmp_path / "map.csv"
    file.write_text("well,role\nA01,control\nA02,king\n")
    with file.open("rb") as content:
        messages = told(post(as_scientist, experiment, "platemap", {"platemap": content}))
    assert messages[0] == "1 wells of the plate map were read."
    assert messages[-1].startswith("map.csv, row 3, role: 'king' is not a role")
    assert experiment.images.first().well.role == "control"


def test_a_plate_map_without_a_file_says_so(experiment, as_scientist):
    assert told(post(as_scientist, experiment, "platemap")) == ["Choose the plate map's CSV file first."]


def test_display_ranges_are_saved(experiment, as_scientist):
    data = {"low-0": "10", "high-0": "900", "low-1": "20", "high-1": "800.5"}
    messages = told(post(as_scientist, experiment, "display", data))
    assert messages == ["The display ranges are saved; thumbnails are being drawn anew."]
    assert [channel.display_range for channel in experiment.channels.all()] == [(10, 900), (20, 800.5)]
    assert Job.objects.get().kind == "thumbnails"


@pytest.mark.parametrize(
    ("low", "sentence"),
    [
        ("dark", "Each display range needs two numbers, the darker one first."),
        ("", "Each display range needs two numbers, the darker one first."),
        ("1e999", "Each display range needs two numbers, the darker one first."),
        ("5000", "DNA: the upper value 900 must be larger than the lower value 5000."),
    ],
)
def test_a_display_range_that_makes_no_sense_is_told(experiment, as_scientist, low, sentence):
    data = {"low-0": low, "high-0": "900", "low-1": "20", "high-1": "800"}
    assert told(post(as_scientist, experiment, "display", data)) == [sentence]
    assert experiment.channels.first().display_range == (100, 5000)


# --- files that could not be taken ----------------------------------------------------------------------


def test_files_of_a_whole_experiment_are_all_there(experiment, as_scientist):
    shown = text_of(as_scientist.get(f"/experiments/{experiment.pk}/files/"))
    assert "Every file was taken." in shown
    assert "Every field is whole." in shown
    assert "Try failed fields again" not in shown


def test_files_lists_what_is_refused_and_broken_with_the_reason(experiment, as_scientist, as_data_scientist):
    experiment.refused_files.create(uri="/data/p/A01_torn.tif", reason="it ends after 12 bytes")
    image = experiment.images.first()
    experiment.images.filter(pk=image.pk).update(state="failed", problem="ER is all zero")
    shown = text_of(as_scientist.get(f"/experiments/{experiment.pk}/files/"))
    for text in ("A01_torn.tif", "it ends after 12 bytes", "ER is all zero", "Try failed fields again"):
        assert text in shown
    assert "Try failed fields again" not in text_of(as_data_scientist.get(f"/experiments/{experiment.pk}/files/"))
    assert "1</b> refused or missing file, <b>1</b> broken field<" in text_of(overview(as_scientist, experiment))
