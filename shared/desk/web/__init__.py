"""The pages of the desk: server-rendered HTML, usable by keyboard alone and without a script."""
