"""Heads: fused features to predictions."""
