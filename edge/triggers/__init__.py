"""Triggers from the line, whatever they come over: one image of one part, judged as everybody's is."""
