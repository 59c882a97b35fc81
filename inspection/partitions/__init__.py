"""The records divided by month, on PostgreSQL: one table to everybody above, one for each month below.

A month is a range of keys (`records.keys`). What was there before stays one table, not copied, as the part for every
key that is of no month; docs/adr/0020-a-month-is-a-range-of-keys.md.
"""
