"""Single images: asking for a verdict, judging, the record that stays."""
