"""What travels between the parts: samples, masks, results."""
