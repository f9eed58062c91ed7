"""Tests of the runbook: its parser, its steps, its shell, and the judging of what the steps did."""
