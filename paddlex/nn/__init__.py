"""Paddle building blocks shared by the networks of both libraries."""
