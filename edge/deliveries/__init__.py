"""The outbox of verdicts: rows written with the record, sent at least once, in order per connection and station."""
