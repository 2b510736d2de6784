"""The local BigQuery: bqemulator, started offline and without the user's home directory.

launch.py     starts it as a child process      server.py     bqemulator with seven changes
"""
