"""What a frozen network saw in the images, and where each image lies among the others."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment, Image


class EmbeddingSet(models.Model):
    """The vectors one network gave the Images of an experiment, and how pixels were drawn for it."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="embedding_sets")
    network = models.CharField(max_length=200, help_text="Version of network and input recipe, as hashes")
    channels = ArrayField(models.TextField(), help_text="Names, in the order in which they were shown")
    # Of the moment of the first vector: a display range that people change later must not part the plates.
    ranges = models.JSONField(help_text="Pixel values drawn black and white, for each channel")
    dimensions = models.PositiveIntegerField(help_text="Length of each vector")
    created_at = models.DateTimeField(auto_now_add=True)
    asked_at = models.DateTimeField(auto_now_add=True, help_text="When this network was last asked for")

    class Meta:
        ordering = ("experiment", "-asked_at")
        constraints = [models.UniqueConstraint(fields=("experiment", "network", "channels"), name="embedding_set_once")]

    def __str__(self) -> str:
        return f"{self.experiment}: embeddings by {self.network}"


class Embedding(models.Model):
    """The vector of one Image: float16, little-endian, as long as its set says."""

    embedding_set = models.ForeignKey(EmbeddingSet, on_delete=models.PROTECT, related_name="embeddings")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="embeddings")
    vector = models.BinaryField()

    class Meta:
        ordering = ("embedding_set", "image")
        constraints = [models.UniqueConstraint(fields=("embedding_set", "image"), name="embedded_once_per_set")]

    def __str__(self) -> str:
        return f"{self.image_id} in {self.embedding_set_id}"


class FeatureSpace(models.Model):
    """Where every Image of an experiment lies, in a few plate-centred numbers: what "more like this" compares.

    Derived and replaced as a whole, so that a request reads one row, never 200,000.
    """

    class Basis(models.TextChoices):
        EMBEDDINGS = "embeddings"
        METRICS = "metrics"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="feature_spaces")
    basis = models.CharField(max_length=10, choices=Basis)
    parameters = models.JSONField(help_text="How to make it again: network or metric set, method, seed")
    n_images = models.PositiveIntegerField()
    dimensions = models.PositiveIntegerField()
    image_ids = models.BinaryField(help_text="int64, little-endian, ascending")
    vectors = models.BinaryField(help_text="float16, little-endian, in the order of image_ids")
    # How any vector of the network comes to its place here: what carries a model over to other images.
    mean = models.BinaryField(null=True, help_text="Of scaled embeddings, float32; NULL for metrics and older spaces")
    axes = models.BinaryField(null=True, help_text="The principal components (dimensions, D), float32")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("experiment", "-id")
        indexes = [models.Index(fields=("experiment", "basis", "-id"), name="newest_feature_space")]
        constraints = [
            models.CheckConstraint(condition=Q(basis__in=["embeddings", "metrics"]), name="feature_space_basis_known")
        ]

    def __str__(self) -> str:
        return f"{self.experiment}: {self.basis} of {self.n_images} images"
