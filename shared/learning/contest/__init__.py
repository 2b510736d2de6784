"""The running comparison of champion and challenger on live traffic, which may be looked at every day."""
