"""Fingerprints of the metric sets that are there: a few for each experiment."""

import hashlib

from django.db import migrations


def fill(apps, schema_editor):
    for metric_set in apps.get_model("labeling", "MetricSet").objects.filter(fingerprint=""):
        metric_set.fingerprint = hashlib.sha256("\n".join(metric_set.columns).encode()).hexdigest()
        metric_set.save(update_fields=["fingerprint"])


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0009_imported_metrics"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
