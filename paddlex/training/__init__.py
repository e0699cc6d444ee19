"""One training loop that knows no task, its hooks, optimisers and checkpoints."""
