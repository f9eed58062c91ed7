"""Lint: what can be said of a runbook by reading it, without any system."""
