"""The full scan of a data set: every fault, where it is, and how to mend it.

An **error** stops training, or would let it learn something that the annotator did not mean: a photo that
cannot be read, an outline that lies on the wrong frame, a labelled object that would count as background.
A **warning** is what training copes with, by these rules:

- an outline without area (a click by mistake; COCO itself holds some) is left out;
- an outline that leaves the photo in part is cut at its edge;
- a bbox or area that is missing or no size at all is computed from the outline; one that is sound by itself
  but does not fit its outline is taken as it is;
- crowds (`iscrowd` 1) are ignored regions and no fault at all;
- an index mask may leave pixels out with 255, and classes that no pixel shows stay in their numbering;
- category ids may start anywhere and have gaps; classes are counted by their place in the list.
"""

from paddlex.data.checks.coco import check_coco_dataset
from paddlex.data.checks.problems import Problem, Scan, list_briefly
from paddlex.data.checks.semantic import SemanticScan, check_semantic_dataset

__all__ = [
    "Problem",
    "Scan",
    "SemanticScan",
    "check_coco_dataset",
    "check_semantic_dataset",
    "list_briefly",
]
