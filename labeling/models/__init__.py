"""The stored nouns of cellqc, one file for each part of the work."""

from labeling.models.audit import AuditEvent
from labeling.models.embeddings import Embedding, EmbeddingSet, FeatureSpace
from labeling.models.experiments import Channel, Experiment, Image, ImageFile, Plate, RefusedFile, Well
from labeling.models.jobs import Job
from labeling.models.measurements import Measurement, MetricSet
from labeling.models.people import User
from labeling.models.qc_sets import Manifest, QCSet, QCSetImage, Signature
from labeling.models.queue import LabelQueue, QueueEntry
from labeling.models.reasons import EarlierModel, ImageReason
from labeling.models.samples import SampledImage, SetSample
from labeling.models.scores import Cutoff, MetricVector, ModelVersion, Score, ScoreKind, ScoreParts, ScoreRun
from labeling.models.verdicts import Defect, Label, Verdict

__all__ = [
    "AuditEvent",
    "Channel",
    "Cutoff",
    "Defect",
    "EarlierModel",
    "Embedding",
    "EmbeddingSet",
    "Experiment",
    "FeatureSpace",
    "Image",
    "ImageFile",
    "ImageReason",
    "Job",
    "Label",
    "LabelQueue",
    "Manifest",
    "Measurement",
    "MetricSet",
    "MetricVector",
    "ModelVersion",
    "Plate",
    "QCSet",
    "QCSetImage",
    "QueueEntry",
    "RefusedFile",
    "SampledImage",
    "Score",
    "ScoreKind",
    "ScoreParts",
    "ScoreRun",
    "SetSample",
    "Signature",
    "User",
    "Verdict",
    "Well",
]
