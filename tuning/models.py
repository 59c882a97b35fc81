"""What-if over stored scores, and scoring a past period again with another model."""
