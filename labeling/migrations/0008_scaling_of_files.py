"""How numbers were brought to 16 bits, and a warning where files of a channel differ in it."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0007_refusal_of_each_plane"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="channel",
            name="before_change_update",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="channel",
            name="before_deletion_delete",
        ),
        migrations.AddField(
            model_name="channel",
            name="warning",
            field=models.TextField(blank=True, help_text="Why some of its files must not be compared with others"),
        ),
        migrations.AddField(
            model_name="channelevent",
            name="warning",
            field=models.TextField(blank=True, help_text="Why some of its files must not be compared with others"),
        ),
        migrations.AddField(
            model_name="imagefile",
            name="scaling",
            field=models.CharField(
                blank=True, help_text="How its numbers became 8 or 16 bits; empty when they were", max_length=100
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="channel",
            trigger=pgtrigger.compiler.Trigger(
                name="before_change_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.* IS DISTINCT FROM NEW.*)",
                    func='INSERT INTO "labeling_channelevent" ("camera_ceiling", "colour", "display_high", "display_low", "experiment_id", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "position", "warning") VALUES (OLD."camera_ceiling", OLD."colour", OLD."display_high", OLD."display_low", OLD."experiment_id", OLD."id", OLD."name", _pgh_attach_context(), NOW(), \'before_change\', OLD."id", OLD."position", OLD."warning"); RETURN NULL;',
                    hash="0ff7df01e2a5afb31ee91466ddec986bfa102a64",
                    operation="UPDATE",
                    pgid="pgtrigger_before_change_update_4a2e7",
                    table="labeling_channel",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="channel",
            trigger=pgtrigger.compiler.Trigger(
                name="before_deletion_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "labeling_channelevent" ("camera_ceiling", "colour", "display_high", "display_low", "experiment_id", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "position", "warning") VALUES (OLD."camera_ceiling", OLD."colour", OLD."display_high", OLD."display_low", OLD."experiment_id", OLD."id", OLD."name", _pgh_attach_context(), NOW(), \'before_deletion\', OLD."id", OLD."position", OLD."warning"); RETURN NULL;',
                    hash="08b903f1cc3b248c942a290a91bc6cc70dbca68c",
                    operation="DELETE",
                    pgid="pgtrigger_before_deletion_delete_ab79d",
                    table="labeling_channel",
                    when="AFTER",
                ),
            ),
        ),
    ]
