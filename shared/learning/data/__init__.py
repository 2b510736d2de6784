"""The training set: what is read, what it must be, how it is kept, and how it is cut in time."""
