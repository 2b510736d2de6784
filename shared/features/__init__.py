"""What a Pix looks like against everything that came before: decayed counters and the feature vector."""
