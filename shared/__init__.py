"""The package that functions and jobs import."""
