"""Backbones: image to feature maps; each tells its `out_channels` and `strides`."""
