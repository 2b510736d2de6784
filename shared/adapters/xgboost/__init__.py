"""XGBoost: the trees of its models."""
