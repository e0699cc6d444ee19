"""Small tools that know nothing of segmentation: files, errors, logging, devices."""
