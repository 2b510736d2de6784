"""Entry points of the Cloud Functions; each folder becomes the root of one deployed source."""
