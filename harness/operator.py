"""Operator: performs the runbook's steps in one shell session, as whoever is on call would."""

from __future__ import annotations
