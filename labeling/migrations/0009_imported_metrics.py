"""Metric sets that came from a table, and the job that takes it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0008_scaling_of_files"),
    ]

    operations = [
        migrations.AddField(
            model_name="metricset",
            name="source",
            field=models.TextField(
                blank=True, default="", help_text="First table it was imported from; empty when measured here"
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="metricset",
            name="revision",
            field=models.PositiveIntegerField(
                default=1, help_text="Counts what was imported in place of earlier numbers"
            ),
        ),
        migrations.AddField(
            model_name="metricset",
            name="fingerprint",
            field=models.CharField(default="", editable=False, help_text="SHA-256 of the columns", max_length=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("ingest", "Ingest"),
                    ("import", "Import metrics"),
                    ("measure", "Measure"),
                    ("score", "Score"),
                    ("thumbnails", "Thumbnails"),
                    ("retrain", "Retrain"),
                ],
                max_length=10,
            ),
        ),
    ]
