"""Throughput, latency and cost of the score function on one vCPU."""
