"""One refusal for each plane of a file: its pages may be of several fields and channels."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0006_qc_set_warnings"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="refusedfile",
            name="refusal_open_once",
        ),
        migrations.AddConstraint(
            model_name="refusedfile",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resolved_at__isnull", True)),
                fields=("experiment", "uri", "image", "channel"),
                name="refusal_open_once",
                nulls_distinct=False,
            ),
        ),
    ]
