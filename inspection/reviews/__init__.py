"""What people say about records, how far they agree, data sets made of it."""
