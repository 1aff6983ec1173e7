"""Every image is decided, the decision is signed, and after that nothing changes."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import timedelta

import pytest

from imaging.platemap import read_platemap
from labeling.models import AuditEvent, Image, Label, Manifest, QCSet, Signature
from labeling.problems import BadValue, Conflict, NotAllowed
from labeling.services import manifests, qc_sets
from labeling.services.decisions import decide
from labeling.services.experiments import apply_platemap
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.manifests import csv_of, manifest_csv, packed, sha256_of, stored_csv
from labeling.services.qc_sets import approve_qc_set, discard_draft, draft_qc_set, staleness, withdraw_qc_set
from tests.conftest import PASSWORD
from tests.factories import add_scores, make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.conftest import MEANING

# Of the twelve images the first six lie below the cutoff.
SCORES = [-0.7, -0.69, -0.68, -0.67, -0.66, -0.65, -0.45, -0.44, -0.43, -0.42, -0.41, -0.4]
CUTOFF = -0.55


@pytest.fixture
def half(scientist):
    """Twelve scored images, six below the saved cutoff, no draft yet."""
    experiment = make_experiment(scientist)
    add_scores(experiment, by=scientist, scores=SCORES)
    save_cutoff_at(experiment, CUTOFF, by=scientist)
    return experiment


def images(experiment) -> list[Image]:
    return list(experiment.images.order_by("id"))


def decision_on(image, by):
    return draft_qc_set(image.experiment, by=by).decisions.get(image=image)


def say(image, verdict, by, *defects):
    return label_images([NewLabel(image.pk, verdict, defects)], by=by)[0]


def sign(qc_set, by, password=PASSWORD, meaning=MEANING):
    return approve_qc_set(qc_set, by=by, password=password, meaning=meaning)


# --- decisions ----------------------------------------------------------------------------------------


def test_without_labels_the_score_decides(half, scientist):
    qc_set = draft_qc_set(half, by=scientist)
    kept = list(qc_set.decisions.order_by("image").values_list("kept", flat=True))
    assert kept == [False] * 6 + [True] * 6
    assert (qc_set.n_kept, qc_set.n_out) == (6, 6)
    assert set(qc_set.decisions.values_list("decided_by", flat=True)) == {"score"}


def test_reasons_tell_score_and_cutoff(half, scientist):
    flagged, kept = images(half)[0], images(half)[-1]
    assert decision_on(flagged, scientist).reason == "score -0.7000 is below the cutoff -0.5500"
    assert decision_on(kept, scientist).reason == "score -0.4000 is not below the cutoff -0.5500"


def test_a_good_label_beats_a_bad_score(half, scientist):
    label = say(images(half)[0], "good", scientist)
    decision = decision_on(images(half)[0], scientist)
    assert (decision.kept, decision.decided_by, decision.label) == (True, "label", label)
    assert decision.reason == "labelled good by Grace Plate"


def test_a_bad_label_beats_a_good_score(half, scientist):
    say(images(half)[-1], "bad", scientist, "blur", "debris")
    decision = decision_on(images(half)[-1], scientist)
    assert (decision.kept, decision.decided_by) == (False, "label")
    assert decision.reason == "labelled bad (blur, debris) by Grace Plate"


@pytest.mark.parametrize(("n", "kept"), [(0, False), (-1, True)])
def test_unsure_follows_the_score_and_says_so(half, scientist, n, kept):
    label = say(images(half)[n], "unsure", scientist)
    decision = decision_on(images(half)[n], scientist)
    assert (decision.kept, decision.decided_by, decision.label) == (kept, "score", label)
    assert decision.reason.endswith(", labelled unsure")


def test_the_last_label_decides(half, scientist, second_scientist):
    say(images(half)[0], "good", scientist)
    say(images(half)[0], "bad", second_scientist)
    assert decision_on(images(half)[0], scientist).reason == "labelled bad by Rosa Well"


def test_an_undone_label_decides_nothing(half, scientist):
    say(images(half)[0], "good", scientist)
    undo_label(images(half)[0], by=scientist)
    decision = decision_on(images(half)[0], scientist)
    assert (decision.kept, decision.decided_by, decision.label) == (False, "score", None)


@pytest.mark.parametrize("state", ["failed", "incomplete"])
def test_a_broken_image_is_out_with_its_reason_even_if_labelled_good(half, scientist, state):
    image = images(half)[-1]
    say(image, "good", scientist)
    Image.objects.filter(pk=image.pk).update(state=state, problem="the file is torn")
    decision = decision_on(image, scientist)
    assert (decision.kept, decision.decided_by, decision.reason) == (False, "error", "the file is torn")


def test_a_broken_image_needs_no_score(half, scientist):
    place = images(half)[0]
    broken = Image.objects.create(
        experiment=half, plate=place.plate, well=place.well, site=9, state="incomplete", problem="channel ER is missing"
    )
    decision = decision_on(broken, scientist)
    assert (decision.kept, decision.reason, decision.isolation_score) == (False, "channel ER is missing", None)


def test_a_ready_image_without_a_score_blocks_the_draft(half, scientist):
    place = images(half)[0]
    Image.objects.create(experiment=half, plate=place.plate, well=place.well, site=9)
    with pytest.raises(Conflict, match="1 images have no score yet"):
        draft_qc_set(half, by=scientist)
    assert not QCSet.objects.exists()


def test_an_unscored_image_or_one_without_cutoff_is_not_decided_yet(half):
    image = images(half)[0]
    assert decide(image, None, None, {}, CUTOFF).kept is None
    assert decide(image, None, None, {}, CUTOFF).reason == "not scored yet"
    assert decide(image, -0.7, None, {}, None).kept is None
    assert decide(image, -0.7, None, {}, None).reason == "score -0.7000, no cutoff is saved yet"


def test_decisions_carry_the_score_to_the_bit(half, scientist):
    run_scores = dict(half.score_runs.get().scores.values_list("image", "score"))
    decided = dict(draft_qc_set(half, by=scientist).decisions.values_list("image", "isolation_score"))
    assert decided == run_scores


# --- drafts -------------------------------------------------------------------------------------------


def test_there_is_no_draft_without_scores(scientist):
    with pytest.raises(Conflict, match="has no isolation score yet"):
        draft_qc_set(make_experiment(scientist), by=scientist)


def test_there_is_no_draft_without_a_cutoff_on_the_newest_scores(half, scientist):
    add_scores(half, by=scientist, seed=2)
    with pytest.raises(Conflict, match="No cutoff is saved for these scores yet"):
        draft_qc_set(half, by=scientist)


def test_a_new_draft_discards_the_old_one_and_takes_the_next_number(draft, experiment, scientist):
    again = draft_qc_set(experiment, by=scientist)
    assert (draft.number, again.number) == (1, 2)
    assert [e.action for e in AuditEvent.objects.order_by("-sequence")[:2]] == ["qc_set.drafted", "qc_set.discarded"]


def test_a_discarded_number_is_not_used_again(draft, experiment, scientist):
    discard_draft(draft, by=scientist)
    draft.refresh_from_db()
    assert draft.state == "discarded"
    assert draft_qc_set(experiment, by=scientist).number == 2


def test_only_a_draft_is_discarded(signed, scientist):
    with pytest.raises(Conflict, match="QC set 1 is approved; only a draft can be discarded"):
        discard_draft(signed, by=scientist)


def test_a_draft_is_in_the_audit(draft, scientist):
    event = AuditEvent.objects.get(action="qc_set.drafted")
    assert (event.actor, event.object_type, event.object_id) == (scientist, "qcset", draft.pk)
    assert (event.new["kept"], event.new["out"], event.new["state"]) == (draft.n_kept, draft.n_out, "draft")


def test_a_draft_takes_few_queries_however_many_images(experiment, scientist, django_assert_max_num_queries):
    save_cutoff_at(experiment, CUTOFF, by=scientist)
    with django_assert_max_num_queries(30):
        draft_qc_set(experiment, by=scientist)


# --- stale drafts -------------------------------------------------------------------------------------


def test_a_fresh_draft_is_not_stale(draft):
    assert staleness(draft) == ""


def new_label(experiment, by):
    say(images(experiment)[0], "good", by)


def taken_back_label(experiment, by):
    undo_label(images(experiment)[1], by=by)


def new_cutoff(experiment, by):
    save_cutoff_at(experiment, CUTOFF, by=by)


def new_run(experiment, by):
    add_scores(experiment, by=by, seed=2)


def new_image(experiment, by):
    place = images(experiment)[0]
    Image.objects.create(experiment=experiment, plate=place.plate, well=place.well, site=9)


def broken_image(experiment, by):
    Image.objects.filter(pk=images(experiment)[0].pk).update(state="failed", problem="torn")


def plate_map(experiment, by):
    apply_platemap(experiment, read_platemap(b"well,role\nA01,control\n"), by=by)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (new_label, "1 label was given after this draft was made"),
        (taken_back_label, "1 label was given after this draft was made"),
        (new_cutoff, "another cutoff was saved after this draft was made"),
        (new_run, "the experiment was scored again after this draft was made"),
        (new_image, "images were added after this draft was made"),
        (plate_map, "a plate map was applied after this draft was made"),
        (broken_image, "broken images were mended, or others broke, after this draft was made"),
    ],
)
def test_a_stale_draft_is_not_signed(half, scientist, change, sentence):
    say(images(half)[1], "bad", scientist)
    qc_set = draft_qc_set(half, by=scientist)
    change(half, scientist)
    assert staleness(qc_set) == sentence
    with pytest.raises(Conflict, match=f"This draft is out of date: {sentence}. Make a new draft"):
        sign(qc_set, scientist)
    qc_set.refresh_from_db()
    assert (qc_set.state, Signature.objects.count(), Manifest.objects.count()) == ("draft", 0, 0)


def test_what_happens_in_another_experiment_leaves_a_draft_fresh(draft, scientist):
    other = make_scored_experiment(scientist, name="Other", plates=("9",))
    new_label(other, scientist)
    save_cutoff_at(other, -0.5, by=scientist)
    assert staleness(draft) == ""


# --- signing ------------------------------------------------------------------------------------------


def test_a_signature_says_who_when_and_in_what_sense_over_which_bytes(draft, scientist):
    signature = sign(draft, scientist, meaning=f"  {MEANING} ")
    draft.refresh_from_db()
    sha256 = hashlib.sha256(stored_csv(draft)).hexdigest()
    assert (signature.by, signature.printed_name, signature.meaning) == (scientist, "Grace Plate", MEANING)
    assert signature.manifest_sha256 == draft.manifest_sha256 == draft.manifest.sha256 == sha256
    assert (draft.state, draft.is_signed) == ("approved", True)


def test_signing_is_in_the_audit_with_its_meaning(draft, scientist):
    signature = sign(draft, scientist)
    event = AuditEvent.objects.get(action="qc_set.approved")
    assert (event.actor, event.object_id, event.reason) == (scientist, draft.pk, MEANING)
    assert event.new["manifest_sha256"] == signature.manifest_sha256
    assert (event.old, event.new["state"]) == ({"state": "draft"}, "approved")


@pytest.mark.parametrize("meaning", ["", "  \n"])
def test_a_signature_without_a_meaning_is_refused(draft, scientist, meaning):
    with pytest.raises(BadValue, match="Say what your signature means"):
        sign(draft, scientist, meaning=meaning)


def test_a_meaning_too_long_to_print_is_refused(draft, scientist):
    with pytest.raises(BadValue, match="at most 300 characters"):
        sign(draft, scientist, meaning="x" * 301)


def test_a_wrong_password_changes_nothing_and_is_recorded(draft, scientist):
    with pytest.raises(NotAllowed, match="The password is not right"):
        sign(draft, scientist, password="guess")
    draft.refresh_from_db()
    assert (draft.state, Signature.objects.count(), Manifest.objects.count()) == ("draft", 0, 0)
    event = AuditEvent.objects.get(action="signature.refused")
    assert (event.actor, event.object_id, event.reason) == (scientist, draft.pk, "wrong password")
    assert "guess" not in str(vars(event))


def test_five_wrong_passwords_lock_signing_even_with_the_right_one(draft, scientist):
    for _ in range(5):
        with pytest.raises(NotAllowed, match="not right"):
            sign(draft, scientist, password="guess")
    with pytest.raises(NotAllowed, match="Signing is locked for 15 minutes after five wrong passwords"):
        sign(draft, scientist)
    draft.refresh_from_db()
    assert draft.state == "draft"


def test_four_wrong_passwords_do_not_lock(draft, scientist):
    for _ in range(4):
        with pytest.raises(NotAllowed):
            sign(draft, scientist, password="guess")
    assert sign(draft, scientist)


def test_the_lock_is_over_after_a_while(draft, scientist, monkeypatch):
    for _ in range(5):
        with pytest.raises(NotAllowed):
            sign(draft, scientist, password="guess")
    monkeypatch.setattr(qc_sets, "LOCKED_FOR", timedelta(0))
    assert sign(draft, scientist)


def test_the_lock_is_one_persons_own(draft, scientist, second_scientist):
    for _ in range(5):
        with pytest.raises(NotAllowed):
            sign(draft, scientist, password="guess")
    assert sign(draft, second_scientist).printed_name == "Rosa Well"


def test_somebody_elses_password_is_wrong(draft, scientist, second_scientist):
    second_scientist.set_password("another one 96")
    second_scientist.save()
    with pytest.raises(NotAllowed):
        sign(draft, second_scientist, password=PASSWORD)


def test_a_set_is_signed_once(signed, scientist):
    with pytest.raises(Conflict, match="QC set 1 is approved; only a draft can be signed"):
        sign(signed, scientist)
    assert Signature.objects.count() == 1


def test_a_discarded_draft_is_not_signed(draft, experiment, scientist):
    draft_qc_set(experiment, by=scientist)
    with pytest.raises(Conflict, match="QC set 1 is discarded; only a draft can be signed"):
        sign(draft, scientist)


# --- what comes after -----------------------------------------------------------------------------------


def test_a_second_signed_set_supersedes_the_first(signed, experiment, scientist):
    second = draft_qc_set(experiment, by=scientist)
    sign(second, scientist)
    signed.refresh_from_db()
    second.refresh_from_db()
    assert (signed.state, second.state) == ("superseded", "approved")
    assert second.supersedes == signed
    assert signed.superseded_by == second
    event = AuditEvent.objects.get(action="qc_set.superseded")
    assert (event.object_id, event.new) == (signed.pk, {"state": "superseded", "by": 2})
    assert stored_csv(signed)


def test_sets_of_other_experiments_are_not_superseded(signed, scientist):
    other = make_scored_experiment(scientist, name="Other", plates=("9",))
    save_cutoff_at(other, CUTOFF, by=scientist)
    sign(draft_qc_set(other, by=scientist), scientist)
    signed.refresh_from_db()
    assert signed.state == "approved"


def test_a_withdrawn_set_stays_readable_with_the_reason(signed, admin):
    withdraw_qc_set(signed, by=admin, reason=" wrong plate map ")
    signed.refresh_from_db()
    assert (signed.state, signed.withdrawal_reason, signed.withdrawn_by) == ("withdrawn", "wrong plate map", admin)
    assert signed.withdrawn_at is not None
    assert stored_csv(signed)
    event = AuditEvent.objects.get(action="qc_set.withdrawn")
    assert (event.old, event.new) == ({"state": "approved"}, {"state": "withdrawn"})
    assert (event.actor, event.reason) == (admin, "wrong plate map")


def test_a_withdrawal_needs_a_reason(signed, scientist):
    with pytest.raises(BadValue, match="Say why the set is withdrawn"):
        withdraw_qc_set(signed, by=scientist, reason="  ")


def test_only_an_approved_set_is_withdrawn(draft, scientist):
    with pytest.raises(Conflict, match="QC set 1 is draft; only an approved set can be withdrawn"):
        withdraw_qc_set(draft, by=scientist, reason="x")


def test_after_a_withdrawal_the_next_signed_set_supersedes_nothing(signed, experiment, scientist):
    withdraw_qc_set(signed, by=scientist, reason="wrong plate map")
    second = draft_qc_set(experiment, by=scientist)
    sign(second, scientist)
    signed.refresh_from_db()
    second.refresh_from_db()
    assert (signed.state, second.state, second.supersedes) == ("withdrawn", "approved", None)


# --- the manifest ---------------------------------------------------------------------------------------


def rows(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def test_the_manifest_made_twice_is_the_same_to_the_byte(draft):
    again = QCSet.objects.get(pk=draft.pk)
    assert manifest_csv(draft) == manifest_csv(again)
    assert packed(manifest_csv(draft)) == packed(manifest_csv(again))


def test_two_drafts_of_the_same_decisions_have_the_same_manifest(draft, experiment, scientist):
    first = manifest_csv(draft)
    assert manifest_csv(draft_qc_set(experiment, by=scientist)) == first


def test_the_manifest_changes_when_a_decision_does(half, scientist):
    before = manifest_csv(draft_qc_set(half, by=scientist))
    say(images(half)[0], "good", scientist)
    assert sha256_of(manifest_csv(draft_qc_set(half, by=scientist))) != sha256_of(before)


def test_the_manifest_has_a_line_for_every_image_in_plate_order(scientist):
    experiment = make_scored_experiment(scientist, plates=("B", "A"))
    save_cutoff_at(experiment, CUTOFF, by=scientist)
    text = manifest_csv(draft_qc_set(experiment, by=scientist))
    lines = rows(text)
    places = [(line["plate"], line["well"], int(line["site"])) for line in lines]
    assert places == sorted(places)
    assert len(lines) == experiment.images.count() == 24
    assert b"\r" not in text


def test_a_line_of_the_manifest_says_all_that_was_decided(half, scientist):
    image = images(half)[0]
    say(image, "bad", scientist, "blur")
    line = rows(manifest_csv(draft_qc_set(half, by=scientist)))[0]
    assert list(line)[:8] == ["plate", "well", "site", "image", "content_hash", "kept", "decided_by", "reason"]
    assert (line["plate"], line["well"], line["site"], line["image"]) == ("0412", "A01", "1", str(image.pk))
    assert (line["kept"], line["decided_by"], line["verdict"]) == ("0", "label", "bad")
    assert line["reason"] == "labelled bad (blur) by Grace Plate"
    assert (line["isolation_score"], line["blended_score"]) == ("-0.699999988", "")
    assert line["content_hash"] == image.content_hash
    assert line["files"].startswith('{"DNA": "/images/')
    assert (line["role"], line["control_class"], line["timepoint"]) == ("sample", "", "1")


def test_what_is_exported_is_what_was_signed_whatever_happens_later(signed, experiment, scientist):
    before = csv_of(signed)
    say(images(experiment)[0], "good", scientist)
    experiment.plates.update(barcode="renamed")
    assert csv_of(QCSet.objects.get(pk=signed.pk)) == before
    assert sha256_of(before) == signed.manifest_sha256


def test_labels_given_after_signing_do_not_touch_the_set(signed, experiment, scientist):
    before = list(signed.decisions.order_by("image").values())
    say(images(experiment)[0], "bad", scientist)
    assert list(signed.decisions.order_by("image").values()) == before
    assert Label.objects.count() == 1


def test_the_frozen_manifest_is_the_text_piece_by_piece(draft, monkeypatch):
    whole = manifest_csv(draft)
    monkeypatch.setattr(manifests, "BATCH", 5)
    monkeypatch.setattr(manifests, "PIECE_BYTES", 100)
    assert len(list(manifests.manifest_pieces(draft))) > 2
    assert manifest_csv(draft) == whole
    assert manifests.freeze(draft) == (packed(whole), sha256_of(whole))
    Manifest.objects.create(qc_set=draft, csv_gzip=packed(whole), sha256=sha256_of(whole))
    pieces = list(manifests.stored_pieces(draft))
    assert len(pieces) > 2
    assert b"".join(pieces) == whole
