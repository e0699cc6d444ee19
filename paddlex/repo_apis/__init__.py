"""The model suites: networks, losses, recipes, weights."""
