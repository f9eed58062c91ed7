"""Logs: what services wrote and when, and the claims made of it."""
