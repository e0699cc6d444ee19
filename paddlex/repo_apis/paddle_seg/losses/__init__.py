"""Training losses, one file per loss: logits (B, C, H, W) and labels (B, H, W) to a scalar."""
