"""Pages of accounts, one module for each: signing in, one's own settings, the audit history."""
