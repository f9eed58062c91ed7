"""Load: start the engine that sends users, follow it, and account for every arrival."""
