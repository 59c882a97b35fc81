"""Whether the detectors are right and quick on a GPU: sections of measurements, one JSON document. Needs no Django."""
