"""From labelled examples to a published model; functions never import this package."""
