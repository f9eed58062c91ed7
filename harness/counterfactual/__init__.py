"""Counterfactual: a recorded run as it would have been recorded, had what is claimed of it been wrong."""
