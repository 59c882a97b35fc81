"""Reports that were issued: frozen with their hashes in the audit chain, the same bytes at every download."""
