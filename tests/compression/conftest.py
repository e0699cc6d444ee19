"""Lets the tests of this folder import the toy networks, and the tiny models of other folders."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / folder) for folder in ("compression", "data", "modules/instance_segmentation")]
