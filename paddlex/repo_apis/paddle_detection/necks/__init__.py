"""Necks: backbone features to fused features."""
