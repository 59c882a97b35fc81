"""What several faults have in common, in words."""

SENT_AGAIN = (
    "the call is cut, or answered 503 with Retry-After; sent again with its key, it is answered with its record"
)
ALL_KEPT = "every record that was answered; requests under way are rows and are judged later"
CLAIMS_BACK = "`manage.py run` starts it again; what it had begun goes back into the queue"
