"""The tutorial function reads its model while it is imported, as tutorials do, so it is not imported for doctests."""

collect_ignore = ["tutorial"]
