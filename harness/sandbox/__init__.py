"""Where the system under test lives."""
