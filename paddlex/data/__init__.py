"""From files on disk to batches: formats, checks, splits, transforms, loading."""
