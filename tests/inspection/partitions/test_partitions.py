"""Records divided by month on a real PostgreSQL: what holds, what is refused, what comes back; and SQLite's refusal."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.test import Client
from django.utils import timezone

from inspection.judging import worker
from inspection.models import Inspection, InspectionRequest
from inspection.partitions import catalog, services, statements
from inspection.partitions.months import Month
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from mvtec_site.health.doctor.partitions import check_partitions
from mvtec_site.tasks import sweep
from records.audit.chain.audited_rows import verify_all
from records.models import AuditEvent
from records.trigger_list import expected_triggers, installed_triggers, restore_triggers, trigger_faults
from retention.services import request_run, set_policy, work_on_run
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.retention.test_services import record
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql" or "SUITE_DIVIDED" in os.environ,
    reason="divides a PostgreSQL that is not divided",
)
NOW = Month.of(timezone.now())


def silent(_: str) -> None:
    pass


def divide(first: Month | None = None) -> None:
    services.partition_history(first=first, actor=None, tell=silent)


def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def part_of(inspection: Inspection) -> str:
    [(name,)] = run("SELECT tableoid::regclass::text FROM inspection_inspection WHERE id = %s", str(inspection.pk))
    return str(name).removeprefix(catalog.TABLE + "_")


def file_of(table: str) -> Any:
    """Which file on disk holds a table: another one where it was copied."""
    return run("SELECT relfilenode FROM pg_class WHERE oid = %s::regclass", table)


def parts_by_name() -> list[str]:
    return [
        catalog.BEFORE,
        catalog.TIMED,
        catalog.LATE,
        *(f"{catalog.TABLE}_{month.suffix}" for month in catalog.months()),
    ]


@pytest.fixture
def joined_afterwards(transactional_db: None) -> Iterator[None]:
    """The next test finds one table, as it was."""
    yield
    connection.rollback()
    if catalog.is_divided():
        services.undo_partitions(actor=None, tell=silent)
    run(statements.forget_keys_of_before())


@pytest.fixture
def divided(joined_afterwards: None) -> None:
    """From this month on; nothing is in it yet."""
    divide(NOW)


# ---------------------------------------------------------------- the command
@pytest.mark.sqlite_is_enough
def test_sqlite_is_refused_in_words() -> None:
    for words in ([], ["--undo"], ["--dry-run"]):
        with pytest.raises(CommandError, match="Only PostgreSQL divides tables, and this installation uses SQLite"):
            call_command("partition_history", *words)
    assert services.prepare_months() == []
    assert list(check_partitions()) == []


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_there_and_back_everything_is_called_and_does_what_it_did(version: ModelVersion) -> None:
    old = inspect(version)
    before, triggers, file = catalog.define(catalog.TABLE), installed_triggers(), file_of(catalog.TABLE)

    printed = io.StringIO()
    call_command("partition_history", "--dry-run", stdout=printed)
    assert not catalog.is_divided()
    assert "ATTACH PARTITION inspection_inspection_before DEFAULT" in printed.getvalue()

    told = io.StringIO()
    call_command("partition_history", stderr=told)
    assert "Reading and writing records waited for" in told.getvalue()
    assert catalog.is_divided()
    assert file_of(catalog.BEFORE) == file, "attached, not copied"
    assert part_of(old) == "before"
    whole = catalog.define(catalog.TABLE)
    assert [one.name for one in whole.indexes] == [
        one.name for one in before.indexes if one.is_primary or not one.is_unique
    ]
    assert whole.references == before.references
    assert whole.referenced_by == before.referenced_by, "valid, too"
    assert catalog.first_month() == services.default_first_month(timezone.now())
    assert trigger_faults() == []
    assert not triggers.keys() - installed_triggers().keys()

    told = io.StringIO()
    call_command("partition_history", stderr=told)
    assert "Every coming month has its part" in told.getvalue()

    call_command("partition_history", "--undo", stderr=io.StringIO())
    assert catalog.define(catalog.TABLE) == before
    assert installed_triggers() == triggers
    assert file_of(catalog.TABLE) == file
    assert Inspection.objects.get() == old
    kinds = AuditEvent.objects.filter(kind__startswith="history.").order_by("sequence").values_list("kind", flat=True)
    assert list(kinds) == ["history.partitioned", "history.joined"]
    with pytest.raises(CommandError, match="not divided by month"):
        call_command("partition_history", "--undo")


@on_postgresql
@pytest.mark.slow
@pytest.mark.usefixtures("divided")
def test_later_migrations_of_records_leave_the_triggers_of_parts_alone(version: ModelVersion) -> None:
    """Columns, constraints and triggers that come and go with them, on a table that is divided already."""
    call_command("migrate", "inspection", "0020_time_ordered_keys", verbosity=0)
    assert catalog.is_divided()
    call_command("migrate", verbosity=0)
    assert trigger_faults() == []
    assert part_of(inspect(version)) == NOW.suffix


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_records_of_months_come_back_into_one_table(version: ModelVersion, user: User) -> None:
    old = record(version, "old", days=1)
    random = Inspection.objects.get(pk=old.pk)
    random.pk = uuid.uuid4()
    random.request = InspectionRequest.objects.create(
        asset=old.asset, model_version=version, filename="b.png", source="api", status="done"
    )
    random.save(force_insert=True)  # a record of before there were keys that sort by time
    divide(NOW.later(1))
    new = record(version, "new", days=-40)
    record_review(inspection=new, verdict="defective", actor=user)
    assert {part_of(old), part_of(random)} == {"before"}
    assert part_of(new) == Month.of(new.created_at).suffix
    count = verify_all().records
    services.undo_partitions(actor=None, tell=silent)
    assert set(Inspection.objects.values_list("pk", flat=True)) == {old.pk, random.pk, new.pk}
    assert new.reviews.count() == 1
    assert verify_all().records == count
    assert catalog.unvalidated() == []


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_what_stands_against_it_is_said_and_nothing_is_changed(version: ModelVersion) -> None:
    record(version, "future", days=-100)
    before = catalog.define(catalog.TABLE)
    for first in (None, NOW):
        with pytest.raises(services.PartitionsImpossible, match=r"records of .* or later already"):
            divide(first)
        assert not catalog.has_constraint(catalog.TABLE, catalog.KEYS_OF_BEFORE), "it would refuse records"
    run("CREATE VIEW mine AS SELECT id FROM inspection_inspection")
    try:
        with pytest.raises(CommandError, match="The view mine reads the table of records"):
            call_command("partition_history", "--from", str(NOW.later(9)))
    finally:
        run("DROP VIEW mine")
    run("ALTER TABLE inspection_inspection DISABLE TRIGGER inspection_inspection_no_row_change")
    try:
        with pytest.raises(CommandError, match="was switched off"):
            call_command("partition_history", "--from", str(NOW.later(9)))
    finally:
        run("ALTER TABLE inspection_inspection ENABLE TRIGGER inspection_inspection_no_row_change")
    with pytest.raises(CommandError, match="2027-13 is not a month"):
        call_command("partition_history", "--from", "2027-13")
    assert catalog.define(catalog.TABLE) == before


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_whoever_works_on_records_is_waited_for_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(services, "_PAUSE_SECONDS", 0.0)
    told: list[str] = []

    with transaction.atomic():
        list(Inspection.objects.all())  # a long report
        [answer] = at_once(lambda: services.partition_history(first=None, actor=None, tell=told.append))
    assert isinstance(answer, services.PartitionsImpossible)
    assert "no moment in which nobody worked" in answer.detail
    assert told[0].startswith("Others work on the records")
    assert not catalog.has_constraint(catalog.TABLE, catalog.KEYS_OF_BEFORE)
    assert not catalog.is_divided()


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_dividing_that_was_killed_is_told_and_goes_on() -> None:
    for text in statements.keys_of_before(NOW.later(5))[:2]:
        run(text)
    [finding] = check_partitions()
    assert (finding.level, finding.text) == (
        "problem",
        "Dividing the records was begun and did not end: records of a later month would be refused.",
    )
    divide()
    assert catalog.first_month() == services.default_first_month(timezone.now())
    assert [finding.level for finding in check_partitions()] == ["ok"]


# ---------------------------------------------------------------- what is refused, part by part
@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_every_part_by_its_name_refuses_all_that_changes_a_record(version: ModelVersion) -> None:
    inspect(version)
    divide(NOW.later(1))
    record(version, "month", days=-40)
    record(version, "late", days=-800)
    for part in (catalog.TABLE, *parts_by_name()):
        for statement in (
            f"UPDATE {part} SET lot = 'x'",
            f"DELETE FROM {part}",
            f"TRUNCATE {part} CASCADE",
            f"INSERT INTO {part} SELECT * FROM {part} ON CONFLICT (id) DO UPDATE SET lot = 'x'",
        ):
            if run(f"SELECT 1 FROM {part} LIMIT 1") or statement.startswith("TRUNCATE"):
                with pytest.raises(DatabaseError, match=r"append-only|already"), transaction.atomic():
                    run(statement)
    for statement in ("UPDATE {} SET inspection_id = request_id", "DELETE FROM {}", "TRUNCATE {}"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            run(statement.format(catalog.OF_REQUEST))
    assert Inspection.objects.count() == 3


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_a_trigger_of_a_part_that_is_off_missing_or_added_is_named_and_put_back() -> None:
    month = f"{catalog.TABLE}_{NOW.suffix}"
    run(f"ALTER TABLE {month} DISABLE TRIGGER inspection_inspection_no_row_change")
    run(f"DROP TRIGGER inspection_inspection_no_statement_change ON {catalog.LATE}")
    run(f"ALTER TABLE {catalog.TABLE} DISABLE TRIGGER {statements.ONE_RECORD}")
    does_nothing = "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    run(f"CREATE TRIGGER mine BEFORE INSERT ON {month} {does_nothing}")
    faults = trigger_faults()
    assert f"the trigger mine on {month} is not in the list" in faults
    off = "does something else than it should, or was switched off"
    assert f"the trigger inspection_inspection_no_row_change on {month} {off}" in faults
    assert f"the trigger inspection_inspection_no_statement_change on {catalog.LATE} is missing" in faults
    assert any(fault.startswith(f"the trigger {statements.ONE_RECORD} ") for fault in faults)
    with pytest.raises(CommandError, match="no_row_change on"):
        call_command("verify_audit", stdout=io.StringIO(), stderr=io.StringIO())
    restore_triggers(actor=None)
    assert trigger_faults() == [f"the trigger mine on {month} is not in the list"]
    run(f"DROP TRIGGER mine ON {month}")
    assert installed_triggers() == expected_triggers(), "run manage.py write_expected_triggers on a divided PostgreSQL"


# ---------------------------------------------------------------- one record of a request
def fields_of(inspection: Inspection, *without: str) -> dict[str, Any]:
    columns = Inspection._meta.concrete_fields
    return {one.attname: getattr(inspection, one.attname) for one in columns if one.name not in ("id", *without)}


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
@pytest.mark.parametrize("days", [1, -40])
def test_a_request_with_a_record_gets_no_second_one_in_any_part(version: ModelVersion, days: int) -> None:
    before = record(version, "a", days=1)
    divide(NOW.later(1))
    first = before if days > 0 else record(version, "b", days=days)
    last = datetime(NOW.year + 1, NOW.number, 15, tzinfo=UTC)
    fields = fields_of(first)
    for at in (first.created_at, timezone.now(), timezone.now() + timedelta(days=62), last):
        with pytest.raises(IntegrityError, match="request_id"), transaction.atomic():
            Inspection.objects.create(**fields | {"created_at": at})
    with pytest.raises(IntegrityError, match="request_id"), transaction.atomic():
        Inspection.objects.create(**fields, id=uuid.uuid4())
    assert Inspection.objects.filter(request=first.request_id).count() == 1


@transaction.atomic
def write(fields: dict[str, Any]) -> uuid.UUID:
    key: uuid.UUID = Inspection.objects.create(**fields).pk
    run("SELECT pg_sleep(0.05)")
    return key


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_of_several_who_write_a_record_of_one_request_at_once_one_succeeds(version: ModelVersion) -> None:
    """Each into another part: the table as it was, this month, the next one, and what has no month."""
    model = record(version, "model", days=0)
    for _ in range(5):
        made = InspectionRequest.objects.create(
            asset=model.asset, model_version=version, filename="c.png", source="api", status="running"
        )
        fields = fields_of(model, "request", "created_at") | {"request_id": made.pk}

        now = timezone.now()
        moments = [now, now, now, NOW.later(1).begins, now + timedelta(days=900)]
        rows: list[dict[str, Any]] = [fields | {"created_at": moment} for moment in moments]
        rows[0]["id"] = uuid.uuid4()  # of a process of before
        answers = at_once(*(partial(write, row) for row in rows))
        keys = [answer for answer in answers if isinstance(answer, uuid.UUID)]
        assert len(keys) == 1, answers
        assert all(isinstance(answer, IntegrityError) for answer in answers if answer not in keys)
        assert Inspection.objects.get(request=made).pk == keys[0]
        [(kept,)] = run(f"SELECT inspection_id FROM {catalog.OF_REQUEST} WHERE request_id = %s", str(made.pk))
        assert str(kept) == str(keys[0])


# ---------------------------------------------------------------- everyday work
@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_an_inspections_life_in_a_divided_history(
    version: ModelVersion, user: User, signed_in: Client, blank: bytes
) -> None:
    old = inspect(version, lot="L-OLD")
    divide(NOW.later(1))
    with pytest.MonkeyPatch.context() as patch:
        later = NOW.later(1).begins + timedelta(days=3)
        patch.setattr(worker.timezone, "now", lambda: later)
        new = inspect(version, defective=True, lot="L-NEW")
    assert (part_of(old), part_of(new)) == ("before", NOW.later(1).suffix)
    record_review(inspection=new, verdict="good", actor=user)
    record_review(inspection=old, verdict="defective", actor=user)
    for address, has, lacks in (
        ("/inspections/", "L-NEW", None),
        ("/inspections/?lot=L-NEW", "L-NEW", str(old.pk)),
        ("/inspections/?reviewed=yes", "L-OLD", None),
        (f"/inspections/{old.pk}/", "L-OLD", None),
        (f"/inspections/{new.pk}/", "L-NEW", None),
    ):
        answer = signed_in.get(address, follow=True)
        assert answer.status_code == 200, address
        page = answer.content.decode()
        assert has in page, address
        assert lacks is None or lacks not in page, address
    assert list(Inspection.objects.values_list("pk", flat=True)) == [new.pk, old.pk], (
        "the order of time, over all parts"
    )
    attest_people()
    report = verify_all()
    assert (report.broken_at, report.findings) == (None, ())


@on_postgresql
@pytest.mark.usefixtures("joined_afterwards")
def test_retention_finds_the_files_of_every_part(version: ModelVersion) -> None:
    old, new = record(version, "old", days=100), record(version, "new", days=20)
    divide(Month.of(new.created_at).later(1))
    newest = record(version, "newest", days=-40)
    shared = record(version, "shared", days=101)
    record(version, "a part of this month needs it, too", days=-41, asset=shared.asset)
    rule = set_policy(category=version.category, good_after_days=30, reason="disk", actor=None)
    asked = request_run(policy=rule, dry_run=False, actor=None, here=True)
    assert work_on_run(run_id=asked.pk, seconds=None)
    gone = Inspection.objects.filter(asset__discarded_at__isnull=False).values_list("pk", flat=True)
    assert set(gone) == {old.pk}
    assert {new.pk, newest.pk, shared.pk} <= set(Inspection.objects.values_list("pk", flat=True))


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_a_period_reads_its_own_months_only(version: ModelVersion) -> None:
    record(version, "now", days=0)
    month = NOW.later(1)
    plan = Inspection.objects.filter(created_at__gte=month.begins, created_at__lt=month.ends).explain()
    assert month.suffix in plan
    assert NOW.suffix not in plan
    key = Inspection.objects.get().pk
    plan = Inspection.objects.filter(pk=key).explain()
    assert NOW.suffix in plan
    assert catalog.BEFORE not in plan


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_later_migrations_find_what_they_expect(version: ModelVersion) -> None:
    """Columns, indexes, checks, and tables that refer to records, made and taken away as Django does it."""
    record(version, "now", days=0)
    before = catalog.define(catalog.TABLE)
    field = models.CharField(max_length=8, default="x", db_default="x")
    field.set_attributes_from_name("later")
    field.model = Inspection
    index = models.Index(fields=["lot", "device"], name="later_index")
    check = models.CheckConstraint(condition=~models.Q(device="none"), name="later_check")
    known = next(one for one in Inspection._meta.indexes if one.name == "inspections_by_lot")

    class Later(models.Model):  # noqa: DJ008 - nobody reads it
        inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="+")

        class Meta:
            app_label = "inspection"
            db_table = "inspection_later"

    try:
        with connection.schema_editor() as schema:
            schema.add_field(Inspection, field)
            schema.add_index(Inspection, index)
            schema.add_constraint(Inspection, check)
            schema.remove_index(Inspection, known)
            schema.add_index(Inspection, known)
            schema.create_model(Later)
        Later._base_manager.create(inspection=Inspection.objects.get())
        with pytest.raises(IntegrityError, match="inspection_id"):
            Later._base_manager.create(inspection_id=uuid.uuid4())
        services.prepare_months(now=timezone.now() + timedelta(days=62))
        record(version, "after", days=-70)
        assert run("SELECT DISTINCT later FROM inspection_inspection") == [("x",)]
    finally:
        with connection.schema_editor() as schema:
            schema.delete_model(Later)
            schema.remove_constraint(Inspection, check)
            schema.remove_index(Inspection, index)
            schema.remove_field(Inspection, field)
        del Inspection._meta.apps.all_models["inspection"]["later"]
        Inspection._meta.apps.clear_cache()
    after = catalog.define(catalog.TABLE)
    assert sorted(one.name for one in after.indexes) == sorted(one.name for one in before.indexes)
    assert trigger_faults() == []


# ---------------------------------------------------------------- coming months
@on_postgresql
@pytest.mark.usefixtures("divided")
def test_the_sweep_makes_the_parts_of_coming_months(worker: None) -> None:
    ahead = NOW.later(services.MONTHS_AHEAD)
    assert catalog.months() == list(NOW.until(ahead))
    assert services.prepare_months() == []
    assert services.prepare_months(now=NOW.later(2).begins) == [ahead.later(1), ahead.later(2)]
    assert AuditEvent.objects.order_by("-sequence").first().kind == "history.months_prepared"  # type: ignore[union-attr]
    assert trigger_faults() == []
    sweep()
    assert catalog.months() == list(NOW.until(ahead.later(2)))


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_who_writes_records_is_not_held_up_by_the_sweep(version: ModelVersion) -> None:
    """It gives way and tries again later."""

    def prepare() -> list[Month]:
        return services.prepare_months(now=NOW.later(2).begins)

    with transaction.atomic():
        record(version, "now", days=0)
        assert at_once(prepare) == [[]]
    assert len(prepare()) == 2


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_records_without_a_month_are_kept_and_told(version: ModelVersion) -> None:
    late = record(version, "late", days=-200)
    month = Month.of(late.created_at)
    assert part_of(late) == "late"
    made = services.prepare_months(now=month.begins)
    assert month not in made
    assert month.later(1) in made
    assert any("1 records lie where" in finding.text for finding in check_partitions())
    assert Inspection.objects.get(pk=late.pk).created_at == late.created_at
    assert services.prepare_months(now=month.begins) == [], "not tried at every sweep"


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_the_doctor_tells_of_missing_months_and_of_too_few_locks(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [finding.level for finding in check_partitions()] == ["ok"]
    monkeypatch.setattr(timezone, "now", lambda: NOW.later(3).begins)
    settings.WEB_PROCESSES = 1000
    missing, locks = check_partitions()
    assert missing.text.startswith(f"No part is there for the records of {NOW.later(4)}")
    assert "out of shared memory" in locks.text
    assert "max_locks_per_transaction = " in locks.fix


@on_postgresql
@pytest.mark.usefixtures("divided")
def test_a_record_in_the_part_of_another_month_is_refused(version: ModelVersion) -> None:
    """Its key and its moment say the same; the model sees to it."""
    record(version, "now", days=0)
    model = Inspection.objects.get()
    fields = fields_of(model)
    with pytest.raises(IntegrityError, match=statements.OF_ITS_MONTH), transaction.atomic():
        Inspection.objects.create(**fields | {"id": NOW.later(1).keys[0], "request_id": uuid.uuid4()})
