"""The shapes of what training takes and gives over REST. Names are a contract: add, never change."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.fields import empty

from labeling.api.queries import Query
from labeling.api.serializers import LARGEST_ID, ImageSerializer
from labeling.models import ModelVersion
from training.comparison import Scaling
from training.learners.classifiers import CLASSIFIERS


class YesOrNothing(serializers.BooleanField):
    """A form that does not name it says nothing; a checkbox would say no."""

    default_empty_html = empty


class ScoringSerializer(serializers.Serializer):
    scaling = serializers.ChoiceField([scaling.value for scaling in Scaling], required=False)
    embeddings = YesOrNothing(required=False, help_text="False leaves out what the image network saw")
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)


class RetrainingSerializer(serializers.Serializer):
    classifier = serializers.ChoiceField(list(CLASSIFIERS), required=False)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)
    earlier = YesOrNothing(
        required=False, help_text="Learn from labels of earlier experiments with the same channels, too, counted less"
    )


class ApplyingSerializer(serializers.Serializer):
    model = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)


class QueueQuery(Query):
    limit = serializers.IntegerField(default=20, help_text="1 to 500")


class CandidateSerializer(serializers.Serializer):
    """An image of the queue: as in the list, why it was chosen, and whether it was drawn blindly."""

    def to_representation(self, candidate: object) -> dict[str, object]:
        shown = ImageSerializer(candidate.facts, context=self.context).data
        return shown | {"why": candidate.why, "random": candidate.is_random}


class QueueImageSerializer(ImageSerializer):
    """The shape of a candidate, for the schema."""

    why = serializers.CharField()
    random = serializers.BooleanField(help_text="Drawn at random, to measure by: label it with `from_queue`")


class QueueSerializer(serializers.Serializer):
    results = QueueImageSerializer(many=True)


class ModelSerializer(serializers.ModelSerializer):
    """A model version with its report on labels it did not see."""

    state = serializers.CharField(help_text="candidate, promoted or retired")
    created_by = serializers.CharField(source="created_by.username")
    promoted_by = serializers.CharField(source="promoted_by.username", default=None, allow_null=True)
    report = serializers.DictField()
    recipe = serializers.DictField()

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "experiment",
            "number",
            "state",
            "n_labels",
            "weights_sha256",
            "created_by",
            "created_at",
            "promoted_by",
            "promoted_at",
            "promotion_reason",
            "report",
            "recipe",
        )


class EffectSerializer(serializers.Serializer):
    """How many images lie on another side by this model than they do by `what`."""

    what = serializers.CharField()
    out = serializers.IntegerField()
    back = serializers.IntegerField()
    note = serializers.CharField()


class ModelDetailSerializer(ModelSerializer):
    effects = EffectSerializer(many=True, help_text="What promoting it would change")

    class Meta(ModelSerializer.Meta):
        fields = (*ModelSerializer.Meta.fields, "effects")
