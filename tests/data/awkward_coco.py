"""What the check finds in each awkward COCO file: problems of the train file by kind, and the first line."""

from __future__ import annotations

N = "annotations/instance_train.json"

AWKWARD: dict[str, tuple[dict[str, int], str]] = {
    "good": ({}, ""),
    "rle_uncompressed": ({}, ""),
    "rle_compressed": ({}, ""),
    "crowd": ({}, ""),
    "mixed_formats": ({}, ""),
    "no_iscrowd_area_bbox": ({}, ""),
    "noncontiguous": ({}, ""),
    "category_zero": ({}, ""),
    "backslash": ({}, ""),
    "subfolder": ({}, ""),
    "nonascii": ({}, ""),
    "bom": ({}, ""),
    "awkward_photos": (
        {"class-without-objects": 1},
        f"{N}, categories: no object of fig, hazelnut; annotate some, or remove the class: it cannot "
        "be learnt",
    ),
    "multi_part": (
        {"bbox-differs": 1},
        f"{N}, annotation 1 of nuts_05.jpg: bbox [105.1, 90.9, 147.2, 138.5] does not fit its outline;"
        " expected about [12.6, 90.9, 239.8, 331.1]; training takes it as it is: correct it, or "
        "remove it to have it computed",
    ),
    "missing_image": (
        {"photo-missing": 1},
        f"{N}, image 2 (no_such_photo.jpg): images/no_such_photo.jpg does not exist; put it there, or "
        "remove its entry and its annotations",
    ),
    "unreadable_images": (
        {"photo-unreadable": 4},
        f"images/zero.jpg, image 2 of {N}: the file is empty; replace or remove it",
    ),
    "zero_area": (
        {"outline-without-area": 2},
        f"{N}, annotation 900 of nuts_05.jpg: the outline covers no pixel; remove it; the annotation "
        "is left out in training",
    ),
    "two_points": (
        {"polygon-few-points": 1, "outline-missing": 2},
        f"{N}, annotation 900 of nuts_05.jpg: polygon with fewer than 3 points; remove it; the "
        "annotation is left out in training",
    ),
    "odd_numbers": (
        {"outline-unusable": 1},
        f"{N}, annotation 1 of nuts_05.jpg: polygon with an odd count of numbers (31 numbers); "
        "expected polygons [[x, y, x, y, ...]] or an RLE of the whole photo; draw the outline again "
        "or export it again",
    ),
    "out_of_bounds": (
        {"polygon-partly-outside": 2, "polygon-outside": 1},
        f"{N}, annotation 900 of nuts_05.jpg: the outline leaves the photo (x -50 to 300, y -20 to "
        "200); expected x within 0 to 800, y within 0 to 600; it is cut at the edge in training",
    ),
    "duplicate_ids": (
        {"annotation-id-duplicate": 1},
        f"{N}, annotations: id 1 is given 12 times; number them from 1; training does not use these "
        "ids, other tools do",
    ),
    "duplicate_image_ids": (
        {"image-id-duplicate": 1},
        f"{N}, images: id 1 is given 2 times; give each photo its own id, and its annotations that id",
    ),
    "nan": (
        {"outline-unusable": 1, "bbox-invalid": 1, "area-invalid": 1},
        f"{N}, annotation 1 of nuts_05.jpg: polygon with NaN or infinity (32 numbers); expected "
        "polygons [[x, y, x, y, ...]] or an RLE of the whole photo; draw the outline again or export "
        "it again",
    ),
    "unknown_category": (
        {"annotation-of-unknown-category": 1},
        f'{N}, annotation 1: category_id 55 is not listed; expected an id of "categories"; correct the'
        " category_id, list it, or remove the annotation",
    ),
    "unknown_image": (
        {"annotation-of-unknown-image": 1},
        f'{N}, annotation 1: image_id 77 is not listed; expected an id of "images"; correct the '
        "image_id, list it, or remove the annotation",
    ),
    "duplicate_category_names": (
        {"category-name-duplicate": 1},
        f"{N}, categories: ids 1, 2, 3 are all named 'nut'; expected one name per class; rename them, "
        "or merge them into one category",
    ),
    "size_wrong": (
        {"size-differs": 1},
        f"{N}, image 1 (nuts_05.jpg): width x height 600 x 800 (swapped); expected 800 x 600, as the "
        "photo is; swap width and height; look whether x and y of the outlines are swapped too",
    ),
    "size_missing": (
        {"size-missing": 1},
        f"{N}, image 1 (nuts_05.jpg): no width and height; those of the photo, 800 x 600, are taken; "
        "state them for other tools' sake",
    ),
    "string_ids": (
        {"id-text": 2},
        f"{N}, images: ids written as texts, in 1 of 1 entries; expected integers; they are read as "
        "integers; write them without quotes for other tools' sake",
    ),
    "bbox_only": (
        {"outline-missing": 12},
        f"{N}, annotation 1 of nuts_05.jpg: a bbox but no outline; draw its outline, or remove it: "
        "without one the object would be learnt as background",
    ),
    "bbox_wrong": (
        {"bbox-invalid": 3},
        f"{N}, annotation 1 of nuts_05.jpg: bbox [0, 0, 0, 0]; expected [x, y, width, height] of "
        "positive size; the box is computed from the outline; remove it for other tools' sake",
    ),
    "no_annotations": (
        {"no-annotations": 1},
        f'{N}: the list "annotations" is empty; annotate objects, or split anew '
        "(CheckDataset.split.enable=True)",
    ),
    "no_annotations_key": (
        {"file-not-coco": 1},
        f'{N}: no list "annotations"; expected the three lists "images", "annotations" and '
        '"categories"; export the annotations in COCO form',
    ),
    "rle_wrong_size": (
        {"rle-size": 1},
        f"{N}, annotation 1 of nuts_05.jpg: an RLE of size [800, 600]; expected the photo's [height, "
        "width] [600, 800]; encode the mask on the whole photo, column by column",
    ),
    "cut": (
        {"file-unreadable": 1},
        f"{N}: not valid JSON at line 1, column 701 (Expecting ',' delimiter); the file may be cut "
        "short: restore it or write it anew",
    ),
    "empty": (
        {"file-unreadable": 1},
        f"{N}: the file is empty; expected JSON",
    ),
}
