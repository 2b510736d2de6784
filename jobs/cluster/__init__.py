"""Programs that spark-submit starts on a cluster."""
