"""Runtimes that execute an exported graph."""
