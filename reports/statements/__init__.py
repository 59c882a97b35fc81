"""Statements of inspection: "nothing passed uninspected between A and B, except ...", issued for good."""
