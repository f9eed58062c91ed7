"""Sight: which outages an alerting rule sees, how late, and which it never does; computed from the rule itself."""
