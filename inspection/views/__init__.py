"""Pages of inspection, one module for each: thin, each parses, calls one selector or service, and renders."""
