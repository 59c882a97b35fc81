"""Where frames come from: one interface for folders, streams, USB and GenICam cameras."""
