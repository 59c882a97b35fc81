"""The ground that every app stands on: errors, rights, the request at hand, what API views and pages share."""
