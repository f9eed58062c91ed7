"""What users do, and the engine that makes them arrive: Locust users under an open model, in a process of its own."""
