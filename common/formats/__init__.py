"""How Django writes what no template formats: one package for each language (FORMAT_MODULE_PATH)."""
