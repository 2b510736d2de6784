"""Notebooks for looking at data before and beside the product: `make notebook`.

    exploration.ipynb    rows of the tables, from distributions to a first model, in a folder of Parquet files
    question.ipynb       a question of a risk officer, answered by a query of BigQuery
    rows.py              reads such a folder

They are stored without outputs, and run by the tests.
"""
