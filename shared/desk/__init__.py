"""The case desk: people judge the Pix that were held or blocked, and what they find becomes a label."""
