"""An installed Prometheus on this machine, and a collector of the metrics that functions export.

Prometheus takes OTLP itself from version 3 on (`--web.enable-otlp-receiver`). The collector gives earlier ones, such
as Debian's, the same names and labels to scrape.
"""
