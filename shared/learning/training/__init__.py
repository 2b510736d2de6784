"""Models: families, search, fit, calibration, thresholds, and the form in which they are served."""
