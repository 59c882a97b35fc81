"""Which runtime a deployment asked for, and which one the worker chose."""

from django.conf import settings
from django.db import migrations, models

from records.triggers import with_triggers_elsewhere


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0010_learning_curve'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = with_triggers_elsewhere([
        migrations.RemoveConstraint(
            model_name='deployment',
            name='deployment_runtime_is_known',
        ),
        migrations.AddField(
            model_name='deployment',
            name='runtime_chosen',
            field=models.CharField(blank=True, help_text='what runs it; empty in deployments older than it', max_length=16),
        ),
        migrations.AlterField(
            model_name='deployment',
            name='runtime',
            field=models.CharField(choices=[('auto', 'Auto'), ('torch', 'Torch'), ('compile', 'torch.compile'), ('onnxruntime', 'ONNX Runtime'), ('openvino', 'OpenVINO')], default='auto', help_text='what was asked for', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.CheckConstraint(condition=models.Q(('runtime__in', ['auto', 'torch', 'compile', 'onnxruntime', 'openvino'])), name='deployment_runtime_is_known'),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.CheckConstraint(condition=models.Q(('runtime_chosen', ''), models.Q(('runtime_chosen__in', ['torch', 'compile', 'onnxruntime', 'openvino']), models.Q(('runtime', 'auto'), ('runtime', models.F('runtime_chosen')), _connector='OR')), _connector='OR'), name='deployment_has_the_runtime_it_asked_for'),
        ),
    ])
