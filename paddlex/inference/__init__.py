"""Raw arrays to results, and the backends that produce raw arrays."""
