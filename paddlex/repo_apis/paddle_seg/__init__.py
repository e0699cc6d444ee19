"""The semantic segmentation suite."""
