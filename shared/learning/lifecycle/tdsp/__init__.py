"""The documents of the Team Data Science Process, made from configuration, schemas, bundle and ledger: `make tdsp`.

    facts.py        gathers the facts of a project
    documents.py    renders a template of each document, beside this file

Source: Microsoft, Team Data Science Process: charter, data dictionary, data quality, model and exit report.
"""
