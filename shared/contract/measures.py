"""Names of measures in `pix.health` that more than one room knows."""

SAVING, FORETOLD = "saving_per_million", "foretold_saving_per_million"
"""The saving of a challenger (`model_version`) over the champion (`segment`) in BRL per million Pix: by labels of an
age, and before them by scores. `low` and `high` are limits that hold at all looks together."""
