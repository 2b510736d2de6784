"""The training set: query, columns, quality checks, snapshot and split in time."""
