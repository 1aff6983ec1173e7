from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0019_reasons_and_earlier_models"),
    ]

    operations = [
        migrations.AddField(
            model_name="label",
            name="request_key",
            field=models.UUIDField(help_text="Made where it was given; shared by labels given at once", null=True),
        ),
        migrations.AddConstraint(
            model_name="label",
            constraint=models.UniqueConstraint(
                condition=models.Q(("request_key__isnull", False)),
                fields=("request_key", "image"),
                name="label_once_per_request",
            ),
        ),
    ]
