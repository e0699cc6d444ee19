"""Semantic segmentation: check, train, evaluate, export, predict."""
