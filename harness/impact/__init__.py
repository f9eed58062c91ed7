"""What an incident cost, by the system's own request log."""
