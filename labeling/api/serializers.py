"""The shapes of what goes in and out. Names are a contract with other people's scripts: add, never change."""

from __future__ import annotations

from django.urls import reverse
from rest_framework import serializers

from imaging.layouts import Z_RULES
from imaging.measure import COMPOSITE
from labeling.api.queries import NumberField, one_of, yes_or_no
from labeling.models import (
    AuditEvent,
    Cutoff,
    Defect,
    Experiment,
    Job,
    Label,
    QCSet,
    ScoreKind,
    Signature,
    Well,
)
from labeling.services.image_facts import ImageFacts
from labeling.services.jobs import rate_per_s, seconds_left
from labeling.services.qc_sets import staleness
from labeling.services.run_tables import RAW, Z
from labeling.services.sources import DEFAULT_Z

GIVEN_VERDICTS = ("good", "bad", "unsure")
LARGEST_ID = 2**63 - 1


class ProblemSerializer(serializers.Serializer):
    """What every error looks like."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence that says what is wrong")


class ExperimentSerializer(serializers.ModelSerializer):
    """Counts come from `services.overview.progress_of`, as `progress` on each experiment."""

    channels = serializers.SlugRelatedField("name", many=True, read_only=True)
    n_plates = serializers.IntegerField(source="progress.n_plates", read_only=True)
    n_images = serializers.IntegerField(source="progress.n_images", read_only=True)
    n_measured = serializers.IntegerField(source="progress.n_measured", read_only=True)
    n_broken = serializers.IntegerField(source="progress.n_broken", read_only=True)
    n_labelled = serializers.IntegerField(source="progress.n_labelled", read_only=True)
    # The service says what is wrong with a name.
    name = serializers.CharField(allow_blank=True)

    class Meta:
        model = Experiment
        fields = (
            "id",
            "name",
            "channels",
            "n_plates",
            "n_images",
            "n_measured",
            "n_broken",
            "n_labelled",
            "created_at",
        )


class IngestSerializer(serializers.Serializer):
    source = serializers.CharField(help_text="A folder or an address such as s3://bucket/plate")
    layout = serializers.CharField(required=False, help_text="Guessed when not named")
    plate = serializers.CharField(required=False, help_text="The barcode, where file names do not tell it")
    z = serializers.CharField(
        required=False, help_text=f"Which z plane of a stack: {', '.join(Z_RULES)} or its number; else {DEFAULT_Z}"
    )


class ImportSerializer(serializers.Serializer):
    """A table of metrics by its address. As a form, `file` is the table itself instead."""

    table = serializers.CharField(help_text="Path or address of a CSV or Parquet file, as the server sees it")
    plate = serializers.CharField(required=False, help_text="The barcode, where the table does not tell it")
    images = serializers.CharField(required=False, help_text="A folder with the files that the table names")


class ImportFormSerializer(serializers.Serializer):
    """The table itself."""

    file = serializers.FileField()
    plate = serializers.CharField(required=False)
    images = serializers.CharField(required=False)


class QueuedSerializer(serializers.Serializer):
    """Work that was queued: follow it at `url`."""

    job = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(Job.State.choices)
    url = serializers.SerializerMethodField()

    def get_url(self, job: Job) -> str:
        return reverse("api:job", args=[job.pk])


class JobSerializer(serializers.ModelSerializer):
    rate_per_s = serializers.SerializerMethodField()
    seconds_left = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = (
            "id",
            "kind",
            "state",
            "done",
            "total",
            "message",
            "rate_per_s",
            "seconds_left",
            "experiment",
        )

    def get_rate_per_s(self, job: Job) -> float | None:
        return rate_per_s(job)

    def get_seconds_left(self, job: Job) -> float | None:
        return seconds_left(job)


class PlateMapAnswerSerializer(serializers.Serializer):
    rows = serializers.IntegerField(help_text="Rows that could be read")
    errors = serializers.ListField(child=serializers.CharField())


class ImageReasonSerializer(serializers.Serializer):
    """One thing that speaks against an image, as the model of its scores weighs it."""

    code = serializers.CharField(help_text="What it is: blur, spot, saturated, ..., or a metric's own key")
    words = serializers.CharField()
    metric = serializers.CharField(source="column", help_text="The column it rests on most")
    value = serializers.FloatField(allow_null=True)
    share = serializers.FloatField(allow_null=True, help_text="Of the plate's images that it goes beyond, 0 to 1")
    strength = serializers.FloatField(help_text="Share of all that speaks against the image, 0 to 1")


class ImageSerializer(serializers.Serializer):
    """An `ImageFacts`. `blended_score` and `uncertainty` are null until a classifier exists."""

    id = serializers.IntegerField(source="image.pk")
    plate = serializers.CharField(source="image.plate.barcode")
    well = serializers.CharField(source="image.well.name")
    site = serializers.IntegerField(source="image.site")
    timepoint = serializers.IntegerField(source="image.timepoint")
    role = serializers.ChoiceField(Well.Role.choices, source="image.well.role")
    control_class = serializers.CharField(source="image.well.control_class")
    treatment = serializers.DictField(source="image.well.treatment")
    content_hash = serializers.CharField(source="image.content_hash")
    isolation_score = serializers.FloatField(allow_null=True)
    blended_score = serializers.FloatField(allow_null=True)
    uncertainty = serializers.FloatField(allow_null=True, help_text="0 to 1: how little the blended score says")
    disagreement = serializers.FloatField(allow_null=True, help_text="Of classifier and forest, 0 to 1")
    verdict = serializers.CharField(allow_null=True, help_text="good, bad, unsure, or null: unlabelled")
    flagged = serializers.BooleanField(allow_null=True)
    reason = serializers.CharField()
    reasons = ImageReasonSerializer(many=True, help_text="What speaks against it, the strongest first; [] if not known")
    problem = serializers.CharField(source="image.problem", help_text="Why it is broken, if it is")
    thumbnail = serializers.SerializerMethodField()

    def get_thumbnail(self, facts: ImageFacts) -> str | None:
        """Nothing to see before it was measured."""
        if not facts.image.has_picture:
            return None
        version = self.context["experiment"].display_version
        return reverse("thumbnail", args=[facts.image.pk, version, COMPOSITE])


class SimilarImageSerializer(ImageSerializer):
    """An image as in the list, and how alike it is."""

    similarity = serializers.FloatField(help_text="Cosine, -1 to 1; higher is more alike")

    def to_representation(self, similar: object) -> dict[str, object]:
        return ImageSerializer(similar.facts, context=self.context).data | {"similarity": similar.similarity}


class SimilarSerializer(serializers.Serializer):
    basis = serializers.CharField(help_text="embeddings, metrics, or empty: nothing to compare yet")
    detail = serializers.CharField(source="in_words", help_text="The same in words")
    results = SimilarImageSerializer(source="images", many=True)


class NewLabelSerializer(serializers.Serializer):
    image = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    verdict = one_of(GIVEN_VERDICTS, "verdict")
    defects = serializers.ListField(child=one_of(tuple(Defect.values), "defect"), default=list)
    note = serializers.CharField(default="", allow_blank=True, max_length=2000)
    from_queue = serializers.BooleanField(default=False, help_text="The queue asked for this image")
    request_key = serializers.UUIDField(
        default=None, allow_null=True, help_text="Made by you: the same key and image again store nothing twice"
    )


class LabelSerializer(serializers.ModelSerializer):
    verdict = serializers.CharField(help_text="good, bad, unsure or withdrawn")
    by = serializers.CharField(source="by.username")
    by_name = serializers.CharField(source="by.printed_name")

    class Meta:
        model = Label
        fields = (
            "id",
            "image",
            "verdict",
            "defects",
            "note",
            "by",
            "by_name",
            "at",
            "content_hash",
            "undoes",
            "repeats",
            "request_key",
        )


class LabellerSerializer(serializers.Serializer):
    """Of how many images a person said what first."""

    person = serializers.CharField(source="person.username")
    name = serializers.CharField(source="person.printed_name")
    images = serializers.IntegerField(source="n_images")
    good = serializers.IntegerField(source="n_good")
    bad = serializers.IntegerField(source="n_bad")
    unsure = serializers.IntegerField(source="n_unsure")


class KappaSerializer(serializers.Serializer):
    """Verdicts given twice on the same images: by two people, or by one unaware of the first."""

    first = serializers.CharField(source="first.username")
    second = serializers.CharField(source="second.username")
    images = serializers.IntegerField(source="agreement.n")
    agreed = serializers.IntegerField(source="agreement.n_agreed")
    share = serializers.FloatField(source="agreement.share", help_text="Agreed of images, 0 to 1")
    kappa = serializers.FloatField(source="agreement.kappa", allow_null=True, help_text="Cohen's; null: undefined")
    low = serializers.FloatField(source="agreement.low", allow_null=True, help_text="Of its 95 % interval")
    high = serializers.FloatField(source="agreement.high", allow_null=True)
    detail = serializers.CharField(source="agreement.in_words", help_text="The same in words")
    table = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        source="agreement.table",
        help_text="First's verdicts (rows) by second's (columns): good, bad, unsure",
    )
    apart = serializers.IntegerField(source="n_apart", help_text="Images on which their last words differ now")


class AgreementSerializer(serializers.Serializer):
    people = LabellerSerializer(many=True)
    pairs = KappaSerializer(many=True, help_text="Two people who judged the same images")
    repeats = KappaSerializer(many=True, help_text="One person who judged images twice, unaware")
    n_disputed = serializers.IntegerField(help_text="Images on which last words differ")
    n_open = serializers.IntegerField(help_text="Those that no majority has settled")


class UndoSerializer(serializers.Serializer):
    image = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)


class UndoneSerializer(serializers.Serializer):
    image = serializers.IntegerField()
    label = LabelSerializer(allow_null=True, help_text="The label now in force")


class PlateCountSerializer(serializers.Serializer):
    plate = serializers.CharField(source="barcode")
    flagged = serializers.IntegerField()
    kept = serializers.SerializerMethodField()
    total = serializers.IntegerField()
    share = serializers.FloatField()

    def get_kept(self, count: object) -> int:
        return count.total - count.flagged


class CutoffPreviewSerializer(serializers.Serializer):
    score = serializers.SerializerMethodField()
    value = serializers.FloatField(source="choice.value")
    how = serializers.ChoiceField(Cutoff.How.choices, source="choice.how")
    percent = serializers.FloatField(source="choice.percent", allow_null=True)
    flagged = serializers.IntegerField()
    kept = serializers.IntegerField()
    share = serializers.FloatField(help_text="Flagged of all, 0 to 1")
    per_plate = PlateCountSerializer(many=True)

    def get_score(self, preview: object) -> str:
        return self.context["score"]


class ConditionSerializer(serializers.Serializer):
    """Flags images whose metric is below `low` or above `high`."""

    column = serializers.CharField(help_text="A metric's column, such as CellQC_SaturatedPercent_DNA")
    unit = one_of((RAW, Z), "unit", default=RAW, help_text="raw: as measured; z: robust SDs from the plate's median")
    low = NumberField(required=False, allow_null=True, default=None)
    high = NumberField(required=False, allow_null=True, default=None)


class NewCutoffSerializer(serializers.Serializer):
    """Exactly one of value, percent and automatic, and why."""

    score = serializers.CharField(default=ScoreKind.ISOLATION.value, help_text="isolation, blended or promoted")
    value = NumberField(required=False, allow_null=True)
    percent = NumberField(required=False, allow_null=True, help_text="The share to flag, 0 to 100")
    automatic = yes_or_no(required=False, allow_null=True)
    unused = yes_or_no(required=False, allow_null=True, help_text="The conditions alone flag")
    conditions = ConditionSerializer(many=True, required=False)
    name = serializers.CharField(default="", allow_blank=True, help_text="To find the rule again")
    reason = serializers.CharField(default="", allow_blank=True)


class CutoffSerializer(serializers.ModelSerializer):
    score = serializers.CharField(source="run.kind")
    flagged = serializers.IntegerField(source="n_flagged")
    by = serializers.CharField(source="by.username")
    by_name = serializers.CharField(source="by.printed_name")
    conditions = ConditionSerializer(many=True)

    class Meta:
        model = Cutoff
        fields = (
            "id",
            "run",
            "score",
            "value",
            "how",
            "percent",
            "conditions",
            "name",
            "flagged",
            "reason",
            "by",
            "by_name",
            "at",
        )


class SignatureSerializer(serializers.ModelSerializer):
    by = serializers.CharField(source="by.username")

    class Meta:
        model = Signature
        fields = ("id", "qc_set", "by", "printed_name", "meaning", "at", "manifest_sha256", "seal")


class QCSetSerializer(serializers.ModelSerializer):
    state = serializers.CharField(help_text="draft, approved, superseded, withdrawn or discarded")
    score = serializers.CharField(source="run.kind")
    cutoff = serializers.FloatField(source="cutoff.value")
    model = serializers.IntegerField(
        source="model_version_id", allow_null=True, help_text="Whose blended scores decided; null: the isolation score"
    )
    created_by = serializers.CharField(source="created_by.username")
    withdrawn_by = serializers.CharField(source="withdrawn_by.username", default=None, allow_null=True)
    signatures = SignatureSerializer(many=True)

    class Meta:
        model = QCSet
        fields = (
            "id",
            "experiment",
            "number",
            "state",
            "n_kept",
            "n_out",
            "run",
            "score",
            "cutoff",
            "model",
            "agreement",
            "created_by",
            "created_at",
            "manifest_sha256",
            "supersedes",
            "withdrawal_reason",
            "withdrawn_by",
            "withdrawn_at",
            "signatures",
        )


class QCSetDetailSerializer(QCSetSerializer):
    """One set; a draft also says whether it can still be signed."""

    stale = serializers.SerializerMethodField(help_text="Why a draft is out of date; empty while it is not")

    class Meta(QCSetSerializer.Meta):
        fields = (*QCSetSerializer.Meta.fields, "stale")

    def get_stale(self, qc_set: QCSet) -> str:
        return staleness(qc_set) if qc_set.is_draft else ""


class SignSerializer(serializers.Serializer):
    password = serializers.CharField(trim_whitespace=False)
    # The service says what is wrong with it, after the password was checked.
    meaning = serializers.CharField(allow_blank=True)


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(default="", allow_blank=True)


class AuditEventSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)

    class Meta:
        model = AuditEvent
        fields = (
            "sequence",
            "at",
            "actor",
            "actor_name",
            "action",
            "experiment",
            "object_type",
            "object_id",
            "object_name",
            "old",
            "new",
            "reason",
            "origin",
            "address",
            "request_id",
            "software_version",
            "previous_hash",
            "hash",
        )


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()
