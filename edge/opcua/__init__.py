"""Verdicts as results of a vision system in OPC UA, and jobs as triggers (docs/line-plc.md)."""
