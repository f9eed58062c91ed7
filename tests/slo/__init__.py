"""Tests of harness.slo."""
