"""Heads: feature maps to logits of every class."""
