"""What a challenger is worth: figures with intervals, segments, money, the gate, and the card that says it."""
