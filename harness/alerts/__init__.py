"""Alerts: rules and how they are scaled, what Prometheus and Alertmanager did, and the claims made of them."""
