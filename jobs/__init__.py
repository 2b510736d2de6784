"""Commands of the life cycle and of operators, one module each: `python -m jobs.<name> --help`."""
