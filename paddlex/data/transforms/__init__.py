"""`(Sample, np.random.Generator) -> Sample`, and their batch-wide relatives."""
