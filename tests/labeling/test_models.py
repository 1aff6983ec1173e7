"""The database itself keeps the truths, whoever writes to it and by which way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from labeling.models import (
    AuditEvent,
    Channel,
    Cutoff,
    EarlierModel,
    Embedding,
    EmbeddingSet,
    FeatureSpace,
    ImageFile,
    ImageReason,
    Job,
    Label,
    LabelQueue,
    Manifest,
    Measurement,
    MetricSet,
    MetricVector,
    ModelVersion,
    Plate,
    QCSet,
    QCSetImage,
    QueueEntry,
    RefusedFile,
    SampledImage,
    Score,
    ScoreRun,
    SetSample,
    Signature,
    Well,
)
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from tests.conftest import PASSWORD


def run(sql: str, *parameters: object) -> int:
    """Raw SQL in a savepoint: rows touched."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


# --- append-only ------------------------------------------------------------------------------------

REQUEST_KEY = "0b9f4c1e-6d0f-4c53-9f0c-3a1b2c4d5e6f"
APPEND_ONLY = {
    AuditEvent: "reason",
    Label: "note",
    Cutoff: "reason",
    Score: "score",
    ScoreRun: "seed",
    Signature: "meaning",
    Manifest: "sha256",
    ImageReason: "words",
}


@pytest.fixture
def one_of_each(experiment, scientist, signed):
    label_images([NewLabel(experiment.images.first().pk, "good")], by=scientist)
    a_reason(SimpleNamespace(run=signed.run, image=experiment.images.first()))
    run("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE would stumble over checks that wait for the commit


@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"])
@pytest.mark.parametrize("model", APPEND_ONLY, ids=lambda model: model.__name__)
def test_append_only_table_refuses(one_of_each, model, statement):
    n, table = model.objects.count(), model._meta.db_table
    assert n > 0
    with pytest.raises(IntegrityError, match=f"{table} is append-only: {statement.split()[0]} refused"):
        run(statement.format(table, APPEND_ONLY[model]))
    assert model.objects.count() == n


# --- QC sets and their decisions --------------------------------------------------------------------


@pytest.mark.parametrize("change", ["n_kept = 0", "number = 9", "manifest_sha256 = 'x'", "state = 'draft'"])
def test_an_approved_set_cannot_be_changed(signed, change):
    with pytest.raises(IntegrityError, match="QC set 1 is approved and cannot be changed"):
        run(f"UPDATE labeling_qcset SET {change}")


@pytest.mark.parametrize("state", ["draft", "approved"])
def test_a_set_cannot_be_deleted(draft, scientist, state):
    if state == "approved":
        approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="reviewed")
    with pytest.raises(IntegrityError, match=f"QC set 1 is {state} and cannot be changed"):
        run("DELETE FROM labeling_qcset")


def test_sets_cannot_be_truncated(signed):
    run("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="append-only: TRUNCATE refused"):
        run("TRUNCATE labeling_qcset CASCADE")


def test_an_approved_set_may_become_superseded_and_then_nothing_else(signed):
    assert run("UPDATE labeling_qcset SET state = 'superseded'") == 1
    for state in ("approved", "draft", "withdrawn"):
        with pytest.raises(IntegrityError, match="QC set 1 is superseded"):
            run("UPDATE labeling_qcset SET state = %s, withdrawal_reason = 'x', withdrawn_by_id = created_by_id", state)


def test_an_approved_set_may_become_withdrawn_and_then_nothing_else(signed):
    withdraw = "UPDATE labeling_qcset SET state = 'withdrawn', withdrawal_reason = 'x', withdrawn_by_id = created_by_id"
    assert run(withdraw) == 1
    with pytest.raises(IntegrityError, match="QC set 1 is withdrawn"):
        run("UPDATE labeling_qcset SET withdrawal_reason = 'another'")


@pytest.mark.parametrize("state", ["superseded", "withdrawn"])
def test_nothing_else_changes_along_with_the_state(signed, state):
    with pytest.raises(IntegrityError, match="cannot be changed"):
        run(
            "UPDATE labeling_qcset SET state = %s, n_kept = n_kept + 1, withdrawal_reason = 'x',"
            " withdrawn_by_id = created_by_id",
            state,
        )


DECISION = (
    "INSERT INTO labeling_qcsetimage (qc_set_id, image_id, kept, decided_by, reason)"
    " SELECT qc_set_id, image_id + 1000000, true, 'score', 'smuggled in' FROM labeling_qcsetimage LIMIT 1"
)


@pytest.mark.parametrize(
    "statement", ["UPDATE labeling_qcsetimage SET kept = NOT kept", "DELETE FROM labeling_qcsetimage", DECISION]
)
def test_decisions_of_an_approved_set_are_frozen(signed, statement):
    with pytest.raises(IntegrityError, match="decisions of a approved QC set cannot be changed"):
        run(statement)


@pytest.mark.parametrize("state", ["superseded", "withdrawn"])
def test_decisions_stay_frozen_after_approval(signed, state):
    run(
        "UPDATE labeling_qcset SET state = %s, withdrawal_reason = 'x', withdrawn_by_id = created_by_id",
        state,
    )
    with pytest.raises(IntegrityError, match=f"decisions of a {state} QC set cannot be changed"):
        run("DELETE FROM labeling_qcsetimage")


def test_decisions_cannot_be_truncated(signed):
    run("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="TRUNCATE refused"):
        run("TRUNCATE labeling_qcsetimage")


def test_decisions_of_a_draft_are_replaced_but_not_edited(draft):
    with pytest.raises(IntegrityError, match="decisions of a draft QC set cannot be changed"):
        run("UPDATE labeling_qcsetimage SET kept = NOT kept")
    assert run("DELETE FROM labeling_qcsetimage") == 12


def test_a_draft_can_be_made_again_and_the_old_one_is_kept_as_discarded(draft, experiment, scientist):
    again = draft_qc_set(experiment, by=scientist)
    draft.refresh_from_db()
    assert (draft.state, draft.decisions.count()) == ("discarded", 0)
    assert (again.state, again.number, again.decisions.count()) == ("draft", 2, 12)


# --- constraints ------------------------------------------------------------------------------------


@pytest.fixture
def world(experiment, scientist, signed):
    image, run_ = experiment.images.first(), ScoreRun.objects.get()
    return SimpleNamespace(
        experiment=experiment,
        by=scientist,
        signed=signed,
        channel=experiment.channels.first(),
        plate=image.plate,
        well=image.well,
        image=image,
        run=run_,
        cutoff=signed.cutoff,
        metric_set=run_.metric_set,
    )


def an_embedding_set(w):
    return EmbeddingSet.objects.create(
        experiment=w.experiment, network="net", channels=["DNA"], ranges=[[0, 1]], dimensions=1
    )


def a_model(w, **given):
    fields = {"experiment": w.experiment, "number": 1, "recipe": {}, "report": {}, "created_by": w.by, **given}
    return ModelVersion.objects.create(**fields)


def a_promoted_model(w, number):
    return a_model(w, number=number, state="promoted", promoted_by=w.by, promotion_reason="better")


def a_run(w, **given):
    fields = {"kind": "isolation", "parameters": {}, "seed": 1, "n_images": 0, "vector": b"", "plate_ids": []}
    return ScoreRun.objects.create(
        experiment=w.experiment, metric_set=w.metric_set, created_by=w.by, **{**fields, **given}
    )


def a_cutoff(w, **given):
    fields = {"value": -0.5, "how": "by hand", "n_flagged": 1, "reason": "looked", **given}
    return Cutoff.objects.create(run=w.run, by=w.by, **fields)


def a_label(w, **given):
    return Label.objects.create(**{"experiment": w.experiment, "image": w.image, "by": w.by, "verdict": "bad", **given})


def a_set(w, **given):
    fields = {"number": 7, "run": w.run, "cutoff": w.cutoff, "created_by": w.by, **given}
    return QCSet.objects.create(experiment=w.experiment, **fields)


def a_decision(w, **given):
    fields = {"image": w.image, "kept": True, "decided_by": "score", "reason": "score is above", **given}
    return QCSetImage.objects.create(qc_set=a_set(w), **fields)


def a_signature(w, **given):
    fields = {"printed_name": "Grace", "meaning": "reviewed", "at": timezone.now(), **given}
    return Signature.objects.create(qc_set=w.signed, by=w.by, **fields)


def an_event(w, **given):
    fields = {"sequence": 900, "at": timezone.now(), "actor_name": "Grace", "action": "a.b", "hash": "h", **given}
    return AuditEvent.objects.create(**fields)


def a_sample(w, **given):
    fields = {"part": "kept", "n": 1, "seed": 1, "strata_sizes": [1], "strata_drawn": [1], "drawn_by": w.by, **given}
    draft = w.experiment.qc_sets.filter(state="draft").first() or a_set(w, number=2)
    return SetSample.objects.create(qc_set=draft, **fields)


def a_drawn_image(sample, w, **given):
    return SampledImage.objects.create(sample=sample, rank=0, image=w.image, stratum=0, **given)


def two_entries(w, **given):
    """One of rank 0 for the first image, and another that has this in common with it."""
    queue = LabelQueue.objects.create(experiment=w.experiment, run=w.run)
    QueueEntry.objects.create(queue=queue, rank=0, image=w.image, why="uncertain")
    other = w.experiment.images.exclude(pk=w.image.pk).first()
    QueueEntry.objects.create(queue=queue, **{"rank": 1, "image": other, "why": "uncertain", **given})


def a_file(w, **given):
    fields = {"uri": "/a.tif", "size_bytes": 1, "width": 1, "height": 1, "bit_depth": 16, **given}
    return ImageFile.objects.create(image=w.image, channel=w.channel, **fields)


def a_reason(w, **given):
    fields = {"rank": 1, "code": "blur", "column": "c", "strength": 1.0, "words": "DNA channel blurrier", **given}
    return ImageReason.objects.create(run=w.run, image=w.image, **fields)


def a_refusal(w, **given):
    return RefusedFile.objects.create(**{"experiment": w.experiment, "uri": "/b.tif", "reason": "torn", **given})


def twice(make: Callable[[SimpleNamespace], object]) -> Callable[[SimpleNamespace], None]:
    def both(w: SimpleNamespace) -> None:
        make(w)
        make(w)

    return both


def two_positions_alike(w):
    Channel.objects.create(experiment=w.experiment, position=0, name="Mito", colour="#ffffff")
    run("SET CONSTRAINTS ALL IMMEDIATE")  # waits for the end, so that channels can change places


BROKEN: dict[str, Callable[[SimpleNamespace], object]] = {
    "channel_name_once": lambda w: Channel.objects.create(
        experiment=w.experiment, position=9, name=w.channel.name, colour="#ffffff"
    ),
    "channel_position_once": two_positions_alike,
    "channel_display_range_ascends": lambda w: Channel.objects.filter(pk=w.channel.pk).update(
        display_low=5, display_high=5
    ),
    "plate_barcode_once": lambda w: Plate.objects.create(
        experiment=w.experiment, barcode=w.plate.barcode, n_rows=1, n_columns=1
    ),
    "plate_has_wells": lambda w: Plate.objects.create(experiment=w.experiment, barcode="new", n_rows=0, n_columns=1),
    "well_position_once": lambda w: Well.objects.create(plate=w.plate, row=w.well.row, column=w.well.column),
    "well_position_from_one": lambda w: Well.objects.create(plate=w.plate, row=0, column=1),
    "well_role_known": lambda w: Well.objects.filter(pk=w.well.pk).update(role="guest"),
    "image_place_once": lambda w: type(w.image).objects.create(
        experiment=w.experiment, plate=w.plate, well=w.well, site=w.image.site
    ),
    "image_problem_has_a_reason": lambda w: type(w.image).objects.filter(pk=w.image.pk).update(state="failed"),
    "file_once_per_channel": a_file,
    "refusal_open_once": twice(a_refusal),
    "refusal_has_a_reason": lambda w: a_refusal(w, reason=""),
    "job_end_has_a_time": lambda w: Job.objects.create(
        experiment=w.experiment, kind="score", state="failed", requested_by=w.by
    ),
    "metric_set_once": lambda w: MetricSet.objects.create(
        experiment=w.experiment, version=w.metric_set.version, columns=w.metric_set.columns
    ),
    "measured_once_per_set": lambda w: Measurement.objects.create(metric_set=w.metric_set, image=w.image, values=[1.0]),
    "metric_vector_once": lambda w: [
        MetricVector.objects.create(run=run, column="DNA", values=b"") for run in [a_run(w)] * 2
    ],
    "embedding_set_once": twice(an_embedding_set),
    "embedded_once_per_set": lambda w: [
        Embedding.objects.create(embedding_set=embedding_set, image=w.image, vector=b"")
        for embedding_set in [an_embedding_set(w)] * 2
    ],
    "feature_space_basis_known": lambda w: FeatureSpace.objects.create(
        experiment=w.experiment,
        basis="taste",
        parameters={},
        n_images=0,
        dimensions=1,
        image_ids=b"",
        vectors=b"",
    ),
    "model_number_once": twice(a_model),
    "model_promoted_one_at_a_time": lambda w: [a_promoted_model(w, number) for number in (1, 2)],
    "model_promotion_has_a_reason": lambda w: a_model(w, state="promoted", promoted_by=w.by),
    "blended_score_names_its_model": lambda w: a_run(w, kind="blended"),
    "reason_is_in_words": lambda w: a_reason(w, words=""),
    "earlier_model_once": lambda w: [
        EarlierModel.objects.create(experiment=w.experiment, model=model, run=w.run) for model in [a_model(w)] * 2
    ],
    "cutoff_has_a_reason": lambda w: a_cutoff(w, reason=""),
    "cutoff_percent_only_by_percent": lambda w: a_cutoff(w, percent=3),
    "label_verdict_known": lambda w: a_label(w, verdict="ugly"),
    "label_defects_only_on_bad": lambda w: a_label(w, verdict="good", defects=["blur"]),
    "label_defects_known": lambda w: a_label(w, defects=["ghost"]),
    "label_repeat_is_a_verdict": lambda w: a_label(w, repeats=a_label(w), undoes=a_label(w)),
    "label_once_per_request": twice(lambda w: a_label(w, request_key=REQUEST_KEY)),
    "qc_set_number_once": lambda w: a_set(w, number=1),
    "qc_set_one_draft_at_a_time": lambda w: [a_set(w, number=number) for number in (2, 3)],
    "qc_set_one_approved_at_a_time": lambda w: a_set(w, state="approved", manifest_sha256="x"),
    "qc_set_signed_has_a_manifest": lambda w: a_set(w, state="superseded"),
    "qc_set_withdrawal_has_a_reason": lambda w: a_set(w, state="withdrawn", manifest_sha256="x", withdrawn_by=w.by),
    "decision_by_label_names_it": lambda w: a_decision(w, decided_by="label"),
    "decision_by_error_is_out": lambda w: a_decision(w, decided_by="error", kept=True),
    "decision_has_a_reason": lambda w: a_decision(w, reason=""),
    "signature_once_per_meaning": twice(a_signature),
    "signature_has_name_and_meaning": lambda w: a_signature(w, meaning=""),
    "sample_once_per_part": twice(a_sample),
    "sample_part_known": lambda w: a_sample(w, part="best"),
    "sampled_once": lambda w: twice(lambda sample: a_drawn_image(sample, w))(a_sample(w)),
    "sampled_verdict_names_its_person": lambda w: a_drawn_image(a_sample(w), w, verdict="bad"),
    "queue_rank_once": lambda w: two_entries(w, rank=0),
    "queue_image_once": lambda w: two_entries(w, image=w.image),
    "audit_names_who_and_what": lambda w: an_event(w, actor_name=""),
}


def names_of_constraints() -> set[str]:
    return {
        constraint.name
        for model in apps.get_app_config("labeling").get_models()
        for constraint in model._meta.constraints
        if isinstance(constraint, models.CheckConstraint | models.UniqueConstraint)
    }


def test_every_constraint_has_its_counter_example():
    assert names_of_constraints() == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_the_database_refuses_what_breaks(world, name):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        BROKEN[name](world)


@pytest.mark.parametrize(
    "given",
    [
        {"how": "percent", "percent": None},
        {"how": "percent", "percent": 101},
        {"how": "percent", "percent": -1},
        {"how": "automatic", "percent": 3},
    ],
)
def test_the_share_of_a_cutoff_fits_how_it_was_chosen(world, given):
    with pytest.raises(IntegrityError, match="cutoff_percent_only_by_percent"), transaction.atomic():
        a_cutoff(world, **given)


@pytest.mark.parametrize("which", ["theirs", "other image", "unsure", "repeat", "undo", "carried"])
def test_a_label_repeats_only_the_same_persons_verdict_on_the_same_image(world, which):
    first, other_image = a_label(world), world.experiment.images.exclude(pk=world.image.pk).first()
    wrong = {
        "theirs": lambda: {"repeats": first, "by": get_user_model().objects.create_user("rosa")},
        "other image": lambda: {"repeats": first, "image": other_image},
        "unsure": lambda: {"repeats": a_label(world, verdict="unsure")},
        "repeat": lambda: {"repeats": a_label(world, repeats=first)},
        "undo": lambda: {"repeats": a_label(world, undoes=first)},
        "carried": lambda: {"repeats": a_label(world, carried_from=first)},
    }[which]()
    with pytest.raises(IntegrityError, match="a label repeats a good or bad of the same person"), transaction.atomic():
        a_label(world, **wrong)


def test_ready_images_have_no_problem_text(world):
    with pytest.raises(IntegrityError, match="image_problem_has_a_reason"), transaction.atomic():
        type(world.image).objects.filter(pk=world.image.pk).update(problem="torn")


def test_a_refused_file_can_be_refused_again_after_it_was_resolved(world):
    a_refusal(world, resolved_at=timezone.now())
    a_refusal(world)
    assert RefusedFile.objects.count() == 2


@pytest.mark.parametrize("field", ["sequence", "hash"])
def test_audit_events_are_numbered_and_chained_once(world, field):
    first = AuditEvent.objects.first()
    with pytest.raises(IntegrityError, match=field), transaction.atomic():
        an_event(world, **{field: getattr(first, field)})


@pytest.mark.parametrize("thing", ["experiment", "plate", "image", "by"])
def test_nothing_cascades(world, thing):
    """Records are archived, never purged: what others point to cannot be deleted."""
    with pytest.raises(models.ProtectedError):
        getattr(world, thing).delete()


def test_scores_are_kept_in_four_bytes(world):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, udt_name FROM information_schema.columns"
            " WHERE (table_name, column_name) IN (('labeling_score', 'score'), ('labeling_measurement', 'values'))"
        )
        assert {row[1]: row[2] for row in cursor.fetchall()} == {"score": "float4", "values": "_float4"}
