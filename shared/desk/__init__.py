"""The case desk: people judge the Pix that were held or blocked, and their findings become labels."""
