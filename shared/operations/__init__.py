"""Work of operators beside the life cycle of models: erasing a person, redriving dead letters."""
