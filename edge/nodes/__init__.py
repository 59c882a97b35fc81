"""Edge nodes as the centre knows them: who they are, what they forwarded, where their audit chains stood."""
