"""A small Cloud Storage: the JSON API over a directory, for google-cloud-storage with STORAGE_EMULATOR_HOST.

It enforces preconditions atomically, which the swap of models relies on. gs://bucket/name is the file
root/bucket/name, which bqemulator shares.
"""
