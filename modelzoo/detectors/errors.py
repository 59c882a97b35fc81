"""Errors that the detectors raise. Each message is one or more sentences that a person can act on."""


class DetectorError(Exception):
    """Anything that a detector refuses: a wrong option, a wrong input, a missing device."""


class WeightsError(DetectorError):
    """The pretrained weights of a backbone cannot be had, or are not what they claim to be."""


class ArtifactError(DetectorError):
    """A stored model is missing, damaged, tampered with, or was made by another version of the format."""


class TooFewImages(DetectorError):
    """There are not enough good images for what was asked."""


class NotComparable(DetectorError):
    """This image cannot be compared with the good ones, so no score of it would mean anything.

    Attributes:
        reason: a word for programs: no_background, no_part_found, several_parts, part_touches_border, unusual_shape,
            pose_ambiguous; other_size, other_aspect, grey_picture, coloured_picture, eight_bit_picture,
            sixteen_bit_picture, unlike_training.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class TrainingCancelled(DetectorError):
    """The caller asked for the training to stop."""
