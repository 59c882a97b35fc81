"""How a deployment's model is run: what was asked for, and what the worker chose."""

from django.db import migrations, models

from records.triggers import with_triggers_elsewhere


class Migration(migrations.Migration):
    dependencies = [
        ("modelzoo", "0003_preprocessing"),
    ]

    operations = with_triggers_elsewhere(
        [
            migrations.AddField(
                model_name="deployment",
                name="choice",
                field=models.JSONField(blank=True, default=dict, help_text="why, and what was measured"),
            ),
            migrations.AddField(
                model_name="deployment",
                name="precision",
                field=models.CharField(
                    choices=[("auto", "Auto"), ("fp32", "Fp32"), ("bf16", "Bf16"), ("int8", "Int8")],
                    default="auto",
                    help_text="what was asked for",
                    max_length=8,
                ),
            ),
            migrations.AddField(
                model_name="deployment",
                name="precision_chosen",
                field=models.CharField(
                    blank=True, help_text="what it runs in; empty in deployments older than it", max_length=8
                ),
            ),
            migrations.AddField(
                model_name="deployment",
                name="runtime",
                field=models.CharField(
                    choices=[
                        ("torch", "Torch"),
                        ("compile", "torch.compile"),
                        ("onnxruntime", "ONNX Runtime"),
                        ("openvino", "OpenVINO"),
                    ],
                    default="torch",
                    max_length=16,
                ),
            ),
            migrations.AddConstraint(
                model_name="deployment",
                constraint=models.CheckConstraint(
                    condition=models.Q(("runtime__in", ["torch", "compile", "onnxruntime", "openvino"])),
                    name="deployment_runtime_is_known",
                ),
            ),
            migrations.AddConstraint(
                model_name="deployment",
                constraint=models.CheckConstraint(
                    condition=models.Q(("precision__in", ["auto", "fp32", "bf16", "int8"])),
                    name="deployment_precision_is_known",
                ),
            ),
            migrations.AddConstraint(
                model_name="deployment",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        ("precision_chosen", ""),
                        models.Q(
                            ("precision_chosen__in", ["fp32", "bf16", "int8"]),
                            models.Q(
                                ("precision", "auto"), ("precision", models.F("precision_chosen")), _connector="OR"
                            ),
                        ),
                        _connector="OR",
                    ),
                    name="deployment_has_the_precision_it_asked_for",
                ),
            ),
        ]
    )
