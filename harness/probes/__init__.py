"""Probes: what is really so on a sandbox, found out by looking and asking, and never by taking a word for it."""
