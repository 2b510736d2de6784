"""Inject every known fault while Pix are scored, then query for lost or changed rows."""
