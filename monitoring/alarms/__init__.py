"""Alarms: what has to be looked at, who did, what the cause was; sent by e-mail and webhook."""
