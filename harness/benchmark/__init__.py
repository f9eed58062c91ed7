"""The benchmark: so many requests, so many at a time, as Apache's `ab` makes them, and the claim made of it."""
