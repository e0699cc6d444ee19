"""Instance segmentation: check, train, evaluate, export, predict."""
