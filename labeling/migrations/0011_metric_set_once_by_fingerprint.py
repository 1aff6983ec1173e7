"""An index row has no room for the columns of a wide table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0010_metric_set_fingerprints"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="metricset", name="metric_set_once"),
        migrations.AddConstraint(
            model_name="metricset",
            constraint=models.UniqueConstraint(
                fields=("experiment", "version", "fingerprint", "revision"), name="metric_set_once"
            ),
        ),
    ]
