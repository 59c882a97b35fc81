"""Verdicts as MQTT messages, and MQTT messages as triggers."""
