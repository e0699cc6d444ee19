"""Assignment of predictions to ground-truth objects, one file per assigner."""
