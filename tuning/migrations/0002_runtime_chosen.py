"""Which runtime all of a rescoring is run in."""

from django.db import migrations, models

from records.triggers import refuse_insert_unless, with_triggers_elsewhere

# SQLite writes the table anew and would lose its trigger.
_TRIGGER = refuse_insert_unless(
    "tuning_rescoringrun",
    "rescoring_by_its_own_threshold",
    "EXISTS (SELECT 1 FROM modelzoo_threshold t"
    " WHERE t.id = NEW.threshold_id AND t.model_version_id = NEW.model_version_id)",
    "the threshold belongs to another model version",
)


class Migration(migrations.Migration):
    dependencies = [
        ("tuning", "0001_rescoring"),
    ]

    operations = [
        migrations.RunPython(_TRIGGER.reverse_code, _TRIGGER.code),
        *with_triggers_elsewhere(
            [
                migrations.AddField(
                    model_name="rescoringrun",
                    name="runtime_chosen",
                    field=models.CharField(
                        blank=True,
                        help_text="by the first worker, and kept to by all that come after it",
                        max_length=16,
                    ),
                ),
                migrations.AlterField(
                    model_name="rescoringrun",
                    name="runtime",
                    field=models.CharField(
                        choices=[
                            ("auto", "Auto"),
                            ("torch", "Torch"),
                            ("compile", "torch.compile"),
                            ("onnxruntime", "ONNX Runtime"),
                            ("openvino", "OpenVINO"),
                        ],
                        help_text="what was asked for",
                        max_length=16,
                    ),
                ),
            ]
        ),
        _TRIGGER,
    ]
