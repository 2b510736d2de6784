"""Batch scoring: any model over stored rows of any period, by one machine or by an engine that has many."""
