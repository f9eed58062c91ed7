"""Tests of harness.load and loadtests."""
