"""The instance segmentation suite."""
