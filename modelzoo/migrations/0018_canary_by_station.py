"""Deployments that judge the images of one station instead of what is in production."""

from django.conf import settings
from django.db import migrations, models
from django.utils import timezone

from records.triggers import with_triggers_elsewhere


def canaries_to_loads(apps, schema):
    """Backwards: there is one deployment for all stations. Acts of the past stay, as loads that ended."""
    canaries = apps.get_model("modelzoo", "Deployment").objects.exclude(station="")
    canaries.filter(status="active").update(status="replaced", ended_at=timezone.now())
    canaries.update(kind="load", station="")


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0017_signature_rules'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = with_triggers_elsewhere([
        migrations.RemoveConstraint(
            model_name='deployment',
            name='one_active_deployment_per_category',
        ),
        migrations.RemoveConstraint(
            model_name='deployment',
            name='deployment_kind_is_known_and_has_its_reason',
        ),
        migrations.AddField(
            model_name='deployment',
            name='station',
            field=models.CharField(blank=True, help_text='of a canary: the station whose images it judges; empty: production', max_length=100),
        ),
        migrations.AlterField(
            model_name='deployment',
            name='kind',
            field=models.CharField(choices=[('load', 'Load'), ('promotion', 'Promotion'), ('rollback', 'Rollback'), ('canary', 'Canary')], default='load', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.UniqueConstraint(condition=models.Q(('station', ''), ('status', 'active')), fields=('category',), name='one_active_deployment_per_category'),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'active'), models.Q(('station', ''), _negated=True)), fields=('category', 'station'), name='one_active_canary_per_station'),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'canary'), models.Q(('station', ''), _negated=True)), models.Q(models.Q(('kind', 'canary'), _negated=True), ('station', '')), _connector='OR'), name='canary_has_its_station'),
        ),
        migrations.AddConstraint(
            model_name='deployment',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'load'), models.Q(('kind__in', ['promotion', 'rollback', 'canary']), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='deployment_kind_is_known_and_has_its_reason'),
        ),
        migrations.RunPython(migrations.RunPython.noop, canaries_to_loads),
    ])
