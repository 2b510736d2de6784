"""Models that learn from the labels which their own decisions leave: open loop, closed loop, and a control group."""
