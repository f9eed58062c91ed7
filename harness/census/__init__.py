"""The census: what a system is set to and holds, counted before the story and after it."""
