"""Synthetic defects on images of good parts: something to compare detectors with where no real defect is known.

They are put on the decoded image, before any preprocessing: there a defect has one size, whatever image size, tiles or
alignment a detector then has, and pose alignment meets it as it would meet a real one. NumPy and OpenCV only.

`defects`: the kinds, sizes and contrasts, and one defect on one image; `shapes`: outlines; `parts`: where the part is.
"""
