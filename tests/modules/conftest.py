"""Lets the tests of this folder import the tiny models and data sets."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / folder) for folder in ("modules/instance_segmentation", "data", "compression")]
