"""One vendor per file, and in-memory twins; vendor errors become those of `shared.errors` here."""
