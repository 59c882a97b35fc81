"""What is chosen in the settings of a camera."""

from __future__ import annotations

NAME = "camera"  # of the kind
FOLDER, RTSP, USB, GENICAM = "folder", "rtsp", "usb", "genicam"
TRIGGERED, INTERVAL, NEWEST, EVERY = "triggered", "interval", "newest", "every"
