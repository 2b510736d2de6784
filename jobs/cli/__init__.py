"""The parts that all commands share: arguments, console output and wiring."""
