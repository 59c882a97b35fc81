"""Verdicts as coils of a PLC, and its triggers: Modbus TCP with a handshake (docs/line-plc.md)."""
