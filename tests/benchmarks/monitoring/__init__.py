"""jobs.monitor on a day of many Pix in the local BigQuery: make bench-monitor."""
