"""A simulated world of years: which training rows, how old they may be, and drift on its quiet days."""
