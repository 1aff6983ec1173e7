"""The stored nouns of cellqc, one file for each part of the work."""

from labeling.models.audit import AuditEvent
from labeling.models.experiments import Channel, Experiment, Image, ImageFile, Plate, RefusedFile, Well
from labeling.models.jobs import Job
from labeling.models.measurements import Measurement, MetricSet
from labeling.models.people import User
from labeling.models.qc_sets import Manifest, QCSet, QCSetImage, Signature
from labeling.models.scores import Cutoff, MetricVector, ModelVersion, Score, ScoreKind, ScoreRun
from labeling.models.verdicts import Defect, Label, Verdict

__all__ = [
    "AuditEvent",
    "Channel",
    "Cutoff",
    "Defect",
    "Experiment",
    "Image",
    "ImageFile",
    "Job",
    "Label",
    "Manifest",
    "Measurement",
    "MetricSet",
    "MetricVector",
    "ModelVersion",
    "Plate",
    "QCSet",
    "QCSetImage",
    "RefusedFile",
    "Score",
    "ScoreKind",
    "ScoreRun",
    "Signature",
    "User",
    "Verdict",
    "Well",
]
