"""Alerts and dashboards for Prometheus and Grafana, from the definitions that Terraform reads too."""
