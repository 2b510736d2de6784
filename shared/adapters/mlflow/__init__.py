"""MLflow: experiment runs, the model registry, and authentication to its server."""
