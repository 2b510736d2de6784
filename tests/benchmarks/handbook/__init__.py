"""The published protocol of the Fraud Detection Handbook, run on the product's history and features."""
