"""What the shop, its payment gateway and its ledger store.

An effect (`Effect`) is what a task brings about. Its unique key makes "done, once" countable:
another attempt at the same effect changes nothing but the count `duplicates`.
"""

from django.db import models
from django.utils import timezone


class Run(models.Model):
    """One drive of the pipelines, and the tasks that it must see done."""

    id = models.CharField(primary_key=True, max_length=64)
    scenario = models.CharField(max_length=32)
    started_at = models.DateTimeField(default=timezone.now)
    expected = models.JSONField(default=list)


class TaskRun(models.Model):
    """The ledger's line on one task, from acceptance by the broker to its end."""

    class State(models.TextChoices):
        """Where a task stands. Success is final: a second run does not undo it."""

        SENT = "sent"
        STARTED = "started"
        RETRYING = "retrying"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    task_id = models.CharField(primary_key=True, max_length=64)
    run = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=128)
    queue = models.CharField(max_length=128)
    worker_group = models.CharField(max_length=64, default="")
    hostname = models.CharField(max_length=256, default="")
    sent_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.SENT)
    retries = models.PositiveIntegerField(default=0)
    starts = models.PositiveIntegerField(default=0)
    reason = models.TextField(default="")


class Order(models.Model):
    """What a customer has bought and owes."""

    class Status(models.TextChoices):
        """Whether the customer has paid."""

        NEW = "new"
        CHARGED = "charged"

    run = models.CharField(max_length=64, db_index=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    card_token = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.NEW)


class Effect(models.Model):
    """The base of all effects: who brought it about, and how often it was tried again."""

    run = models.CharField(max_length=64, db_index=True)
    task_id = models.CharField(max_length=64)
    duplicates = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Each effect has its own table."""

        abstract = True


class Charge(Effect):
    """The shop's record that an order is paid."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE)
    reference = models.CharField(max_length=64)


class GatewayCharge(Effect):
    """The payment gateway's record of a charge, one per idempotency key."""

    key = models.CharField(max_length=64, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)


class GatewayFailures(models.Model):
    """How many of the next charges the gateway refuses: one row, shared by its replicas."""

    remaining = models.PositiveIntegerField(default=0)


class Metric(Effect):
    """A user's figures as fetched from the social network."""

    user = models.PositiveIntegerField()
    followers = models.PositiveIntegerField()
    likes = models.PositiveIntegerField()

    class Meta:
        """One row for each user of a run."""

        constraints = (models.UniqueConstraint(fields=("run", "user"), name="one_metric"),)


class Thumbnail(Effect):
    """A photograph, made small."""

    photo = models.CharField(max_length=128)
    size = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        """One row for each photograph and size of a run."""

        constraints = (
            models.UniqueConstraint(fields=("run", "photo", "size"), name="one_thumbnail"),
        )


class ContactSheet(Effect):
    """All thumbnails of a photograph side by side."""

    photo = models.CharField(max_length=128)
    data = models.BinaryField()

    class Meta:
        """One row for each photograph of a run."""

        constraints = (models.UniqueConstraint(fields=("run", "photo"), name="one_sheet"),)


class ChordFailure(Effect):
    """What the error handler of a chord has reported."""

    photo = models.CharField(max_length=128)
    reason = models.TextField()

    class Meta:
        """One row for each photograph of a run."""

        constraints = (models.UniqueConstraint(fields=("run", "photo"), name="one_chord_failure"),)


class Email(Effect):
    """A message that the SMTP sink has accepted."""

    message_id = models.CharField(max_length=255, unique=True)
    recipient = models.CharField(max_length=255)
    content = models.BinaryField()


class Hold(Effect):
    """The end of a task that only takes its time."""

    key = models.CharField(max_length=64, unique=True)
    seconds = models.FloatField()


class Tick(Effect):
    """One run of the periodic reconciliation, and what it found."""

    key = models.CharField(max_length=64, unique=True)
    scheduled_at = models.DateTimeField()
    gateway_only = models.JSONField(default=list)
    shop_only = models.JSONField(default=list)
