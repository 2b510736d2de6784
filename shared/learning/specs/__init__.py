"""Settings of a retraining by part; a docstring under each field gives its meaning, unit, bounds and reason."""
