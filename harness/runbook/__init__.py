"""The runbook: what its Markdown says, what its steps are for, and the shell in which its commands meet the sandbox."""

from harness.runbook.parse import Command, Runbook, Section, parse_runbook, read_runbook

__all__ = ["Command", "Runbook", "Section", "parse_runbook", "read_runbook"]
