"""Networks made smaller and faster: channels pruned, weights and activations quantised."""
