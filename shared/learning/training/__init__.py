"""Training: model families, search, fit, calibration, thresholds, export and bundles."""
