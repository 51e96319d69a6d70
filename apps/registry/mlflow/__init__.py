"""Speaking to MLflow."""
