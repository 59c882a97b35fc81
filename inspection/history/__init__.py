"""The history of records: filters, order, figures, exports, saved views."""
