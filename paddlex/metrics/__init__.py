"""What a model is measured by: `reset`, `update`, `compute`."""
