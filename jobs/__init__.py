"""Long work: rows that workers claim under a lease, the broker that calls them, their signs of life."""
