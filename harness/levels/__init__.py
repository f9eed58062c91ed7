"""Levels: values that Prometheus has kept, read once at the end of a run, and the claims made of them."""
