"""Mutation: what the scenarios would notice if an alert rule were written wrongly, tried on recorded runs."""
