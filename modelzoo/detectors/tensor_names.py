"""Names of tensors in an artifact that are read without a detector, and so without torch."""

REFERENCE_IMAGES = "probe"
PREPROCESSING_PREFIX = "preprocessing."
IGNORE_MASK, IGNORE_FILL = "ignore_mask", "ignore_fill"
