"""What both functions and jobs import: contract, features, scoring, learning, ports and adapters."""
