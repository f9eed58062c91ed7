"""Mitigations: what operators do against an incident, and whether it worked."""
