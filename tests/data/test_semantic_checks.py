"""Every fault of a semantic data set is found, told in one line with its likely remedy, and judged."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.tiny_semantic import HEIGHT, WIDTH, write_pair, write_tiny_semantic
from PIL import Image

from paddlex.data.checks import Problem, check_semantic_dataset
from paddlex.data.semantic_dataset import SemanticDataset
from paddlex.utils.errors import DatasetFileNotFoundError, PaddleXError

# What training copes with; all other kinds forbid it.
WARNINGS = {
    "class-names",
    "class-without-pixels",
    "labels-with-gaps",
    "mask-all-ignored",
    "mask-binary",
    "photo-copy",
    "photo-copy-in-train-and-val",
    "photo-in-train-and-val",
    "photo-listed-twice",
    "photo-turned",
}
# Both lists are the case, so that every photo is in both.
SHARED = ("photo-in-train-and-val",)

AWKWARD: dict[str, tuple[set[str], str]] = {
    "plain.png": (set(), ""),
    "palette.png": (set(), ""),
    "sixteen_bit.png": (set(), ""),
    "rgb.png": (
        {"mask-colour"},
        "annotations/rgb.png, line 1 of train.txt: a colour picture of 4 colours: (0, 0, 0) "
        "92432 pixels, (200, 60, 60) 19803, (60, 60, 200) 4100, (60, 200, 60) 3665; expected "
        "one channel with the class index of each pixel, 0 upwards, "
        "255 to be ignored; give each colour the number of its class and save these numbers as a grey or "
        "palette PNG",
    ),
    "out_of_range.png": (
        {"label-outside"},
        "annotations/out_of_range.png: label 17 (8000 pixels); expected 0 to 3, or 255 to be ignored; "
        "correct these pixels, or write 255 to ignore them; if they are a class, set Train.num_classes=18 "
        "and name every class",
    ),
    "wrong_size.png": (
        {"size-differs"},
        "annotations/wrong_size.png, line 1 of train.txt: 300 x 200 pixels; expected 400 x 300, as the photo "
        "has; put back the photo that was annotated, or resize the mask by nearest neighbour",
    ),
    "all_ignore.png": (
        {"mask-all-ignored", "labels-none"},
        "annotations/all_ignore.png, line 1 of train.txt: every pixel is 255, which is ignored; annotate it, "
        "or remove its line: it teaches nothing",
    ),
    "all_background.png": (
        {"class-without-pixels"},
        "train.txt: no pixel of date, fig, hazelnut; annotate some: a class cannot be learnt "
        "without examples",
    ),
    "binary_255.png": (
        {"labels-binary"},
        "annotations/binary_255.png: 0 (92432 pixels) and 255 (27568 pixels) only; 255 is ignored, so "
        "nothing but background would be learnt; expected 0 for background, 1 for the object; write 1 in "
        "place of 255 and set Train.num_classes=2",
    ),
    "one_bit.png": ({"class-without-pixels"}, "train.txt: no pixel of fig, hazelnut; "),
    "zero.png": (
        {"mask-unreadable"},
        "annotations/zero.png, line 1 of train.txt: the file is empty; replace or remove it",
    ),
    "jpeg_mask.jpg": (
        {"mask-lossy"},
        "annotations/jpeg_mask.jpg, line 1 of train.txt: a mask saved as JPEG, which smears values along ",
    ),
}


def problems_of(folder: Path, **options) -> list[Problem]:
    problems = check_semantic_dataset(folder, **options).problems
    assert all((problem.severity == "warning") == (problem.kind in WARNINGS) for problem in problems)
    return problems


@pytest.fixture
def awkward(shared_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_data / "awkward" / "semantic", tmp_path / "semantic"))


@pytest.mark.parametrize("mask", sorted(AWKWARD))
def test_awkward_mask_gives_exactly_these_problems(mask: str, awkward: Path) -> None:
    for name in ("train.txt", "val.txt"):
        (awkward / name).write_text(f"images/photo.jpg annotations/{mask}\n")
    problems = [p for p in problems_of(awkward) if p.kind not in SHARED and "val.txt" not in str(p)]
    kinds, line = AWKWARD[mask]
    classes_missing = {"class-without-pixels"} if "class-without-pixels" not in kinds else set()
    assert {p.kind for p in problems} - classes_missing == kinds
    assert (str(problems[0]) if problems else "").startswith(line)


@pytest.mark.parametrize("mask", sorted(AWKWARD))
def test_training_reads_what_passes_and_refuses_the_rest(mask: str, awkward: Path) -> None:
    for name in ("train.txt", "val.txt"):
        (awkward / name).write_text(f"images/photo.jpg annotations/{mask}\n")
    errors = check_semantic_dataset(awkward).errors
    dataset = SemanticDataset(awkward, num_classes=4)
    if errors and {error.kind for error in errors} - {"labels-none", "labels-binary"}:
        with pytest.raises(PaddleXError, match=mask):
            dataset[0]
    else:  # a whole set of such masks teaches nothing, one of them among others does no harm
        assert dataset[0].label_map.shape == (300, 400)


def test_awkward_masks_are_all_tested(shared_data: Path) -> None:
    masks = (shared_data / "awkward" / "semantic" / "annotations").iterdir()
    assert {path.name for path in masks} == set(AWKWARD)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("train_crlf.txt", ["photo-listed-twice-differently"]),
        ("train_tabs_backslash.txt", ["photo-listed-twice"]),
        ("train_missing.txt", ["line-faulty", "photo-missing", "mask-missing"]),
    ],
)
def test_awkward_lists_are_understood(name: str, lines: list[str], awkward: Path) -> None:
    shutil.copyfile(awkward / name, awkward / "train.txt")
    (awkward / "val.txt").write_text("images/photo.jpg annotations/plain.png\n")
    assert [p.kind for p in problems_of(awkward) if p.kind not in SHARED] == lines


def test_lines_without_a_mask_are_told_with_their_number(awkward: Path) -> None:
    shutil.copyfile(awkward / "train_missing.txt", awkward / "train.txt")
    (awkward / "val.txt").write_text("images/photo.jpg annotations/plain.png\n")
    assert [str(problem) for problem in problems_of(awkward)][:3] == [
        "train.txt, line 3: 'images/photo.jpg'; expected the photo and its mask, separated by one blank; "
        "add the mask, or remove the line",
        "images/gone.jpg, line 2 of train.txt: the photo does not exist; put it there, or remove its line",
        "annotations/gone.png, line 2 of train.txt: the mask does not exist; put it there, or remove its "
        "line",
    ]


def test_street_scenes_are_sound(shared_data: Path) -> None:
    scan = check_semantic_dataset(shared_data / "camvid_sem")
    assert scan.problems == []
    assert (scan.num_photos, scan.labels) == (140, list(range(11)))
    assert scan.class_names is not None and scan.class_names[-1] == "bicyclist"


# ---------------------------------------------------------------- generated: runs in any clone


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_semantic(tmp_path / "tiny")


def relabel(folder: Path, change: Callable[[np.ndarray], np.ndarray], *, only: str = "*") -> None:
    for path in (folder / "annotations").glob(f"{only}.png"):
        with Image.open(path) as image:
            changed = change(np.array(image))
        Image.fromarray(changed.astype(np.uint8)).save(path)


def looked_up(**values: int) -> Callable[[np.ndarray], np.ndarray]:
    """Replace labels: `looked_up(_1=128)`."""
    table = np.arange(256)
    for name, value in values.items():
        table[int(name[1:])] = value
    return lambda label_map: table[label_map]


def test_a_sound_set_has_no_problems(tiny: Path) -> None:
    scan = check_semantic_dataset(tiny)
    assert scan.problems == [] and scan.num_photos == 6
    assert {split: len(pairs) for split, pairs in scan.pairs.items()} == {"train": 4, "val": 2}
    assert scan.masks["annotations/photo0.png"].counts[[0, 1, 2, 255]].tolist() == [HEIGHT * 12] * 4


@pytest.mark.parametrize(
    ("change", "num_classes", "kinds", "words"),
    [
        (
            looked_up(_0=1, _1=2, _2=3),
            3,
            {"labels-from-one": 1},
            "labels 1 (2304 pixels), 2 (2304 pixels), 3 (2304 pixels); expected 0 to 2",
        ),
        (looked_up(_0=0, _1=255, _2=255), 3, {"labels-binary": 1}, "write 1 in place of 255"),
        (looked_up(_1=128, _2=255), 3, {"label-outside": 6}, "0 for 0, 1 for 128, 2 for 255"),
        (looked_up(_2=9), 3, {"label-outside": 6}, f"label 9 ({HEIGHT * 12} pixels); expected 0 to 2"),
        (looked_up(_0=255, _1=255, _2=255), 3, {"labels-none": 1}, "every pixel is 255"),
        (np.zeros_like, 1, {"one-class": 1}, "a single class; expected at least 2"),
    ],
    ids=["from one", "binary", "grey levels", "unknown", "all ignored", "one class"],
)
def test_labels_numbered_otherwise_are_recognised(change, num_classes, kinds, words, tiny: Path) -> None:
    relabel(tiny, change)
    errors = check_semantic_dataset(tiny, num_classes=num_classes).errors
    assert Counter(error.kind for error in errors) == kinds
    assert words in str(errors[0])


def test_blended_masks_are_recognised(tiny: Path) -> None:
    relabel(tiny, lambda label_map: np.arange(label_map.size).reshape(label_map.shape) % 40, only="photo0")
    (error,) = check_semantic_dataset(tiny).errors
    assert str(error).startswith("annotations/photo0.png: labels 3 (39 pixels), 4 (39 pixels)")
    assert "and 29 more values; expected 0 to 2" in str(error)
    assert "values were blended" in str(error)


def test_one_binary_mask_among_others_is_a_warning(tiny: Path) -> None:
    relabel(tiny, looked_up(_1=255, _2=255), only="photo0")
    (warning,) = problems_of(tiny)
    assert (warning.kind, warning.file) == ("mask-binary", "annotations/photo0.png")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (looked_up(_0=1, _1=2, _2=3), "3 different labels, the largest 3: no pixel is 0; subtract 1"),
        (looked_up(_2=5), "3 different labels, the largest 5: no pixel is 2, 3, 4; set Train.num_classes=6"),
        (
            looked_up(_1=100, _2=200),
            "3 different labels, the largest 200: no pixel is 1, 2, 3, 4, 5, 6, 7, 8, ...; these look like "
            "grey levels for the eye; write the numbers of classes: 0 for 0, 1 for 100, 2 for 200",
        ),
    ],
    ids=["from one", "gap", "grey levels"],
)
def test_without_names_gaps_in_the_numbering_are_a_warning(change, words: str, tiny: Path) -> None:
    (tiny / "labels.txt").unlink()
    relabel(tiny, change)
    (warning,) = problems_of(tiny)
    assert warning.kind == "labels-with-gaps" and words in str(warning)


def test_without_names_a_single_class_is_an_error(tiny: Path) -> None:
    (tiny / "labels.txt").unlink()
    relabel(tiny, np.zeros_like)
    (error,) = problems_of(tiny)
    assert str(error) == (
        "annotations/photo0.png, as all 6 masks: a single class; expected at least 2, background among them; "
        "annotate what is to be told apart"
    )


def test_names_without_background_are_recognised(tiny: Path) -> None:
    (tiny / "labels.txt").write_text("leaf\nstem\n")
    (error,) = check_semantic_dataset(tiny).errors
    assert (error.kind, error.file) == ("label-beyond-names", "annotations/photo0.png")
    assert error.remedy == (
        "if labels.txt leaves out the background, write its name before the others; else write 255 in place "
        "of 2, or subtract 1 from every label if 0 is not a class"
    )


def test_names_that_are_not_as_many_as_the_classes_are_a_warning(tiny: Path) -> None:
    (tiny / "labels.txt").write_text("leaf\nstem\n")
    (warning,) = problems_of(tiny, num_classes=3)
    assert str(warning).startswith("labels.txt: 2 names, but Train.num_classes is 3; name every class")


def test_a_gap_among_the_names_is_an_error(tiny: Path) -> None:
    (tiny / "labels.txt").write_text("background\n\nleaf\nstem\n")
    (error,) = check_semantic_dataset(tiny).errors
    assert (error.file, error.where) == ("labels.txt", "line 2")


def test_a_class_missing_from_one_side_is_named(tiny: Path) -> None:
    for name in ("photo4", "photo5"):
        relabel(tiny, looked_up(_2=0), only=name)
    (warning,) = problems_of(tiny)
    assert str(warning) == "val.txt: no pixel of stem; annotate some, or split anew"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (
            lambda folder: None,
            "val.txt: the list does not exist; set CheckDataset.split.enable=True to split train",
        ),
        (
            lambda folder: [
                (folder / "train.txt").unlink(),
                (folder / "annotations" / "a.json").write_text("{}"),
            ],
            "train.txt: the list does not exist; set CheckDataset.convert.enable=True",
        ),
        (
            lambda folder: (folder / "train.txt").unlink(),
            "train.txt: the list does not exist; write it: one line `images/NAME.jpg annotations/NAME.png`",
        ),
        (
            lambda folder: (folder / "train.txt").write_text("\n"),
            "train.txt: no pair of photo and mask; list them",
        ),
        (
            lambda folder: (folder / "train.txt").write_bytes(b"\xff\xff"),
            "train.txt: neither UTF-8 nor GBK text",
        ),
    ],
    ids=["one list", "LabelMe", "no list", "empty", "no text"],
)
def test_lists_that_cannot_be_used_come_with_a_way_out(prepare, words: str, tiny: Path) -> None:
    (tiny / "val.txt").unlink()
    prepare(tiny)
    assert any(str(error).startswith(words) for error in check_semantic_dataset(tiny).errors)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("images/photo0.png,annotations/photo0.png", "put a blank in place of the comma"),
        ("images/my photo.png annotations/my photo.png", "put a tab between photo and mask"),
        ("images/photo0.png", "add the mask, or remove the line"),
    ],
)
def test_faulty_lines_come_with_their_likely_remedy(line: str, remedy: str, tiny: Path) -> None:
    with (tiny / "val.txt").open("a") as file:
        file.write(f"{line}\n")
    (error,) = check_semantic_dataset(tiny).errors
    assert str(error).startswith(f"val.txt, line 3: '{line}'; expected the photo and its mask")
    assert remedy in str(error)


def test_missing_files_are_guessed_by_name(tiny: Path) -> None:
    with (tiny / "val.txt").open("a") as file:
        file.write("images/Photo5.PNG annotations/photo5.tif\n")
    photo, mask = check_semantic_dataset(tiny).errors
    assert photo.remedy == "correct its name if images/photo5.png is meant"
    assert mask.remedy == "correct its name if annotations/photo5.png is meant"


def test_unreadable_photos_are_told(tiny: Path) -> None:
    (tiny / "images" / "photo5.png").write_bytes(b"text")
    (error,) = check_semantic_dataset(tiny).errors
    assert str(error) == (
        "images/photo5.png, line 2 of val.txt: not an image (expected JPEG, PNG, BMP, TIFF, WebP or GIF); "
        "replace or remove it"
    )


def test_masks_of_photos_as_stored_are_told_from_upright_ones(tiny: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(tiny / "images" / "photo5.png", exif=exif)
    (error,) = check_semantic_dataset(tiny).errors
    assert error.kind == "photo-turned-otherwise"
    assert "48 x 32 pixels, as the photo is stored; EXIF orientation 6 turns it" in str(error)
    exif[0x0112] = 3
    Image.new("RGB", (WIDTH, HEIGHT)).save(tiny / "images" / "photo5.png", exif=exif)
    assert [problem.kind for problem in problems_of(tiny)] == ["photo-turned"]


def test_photos_listed_twice_are_told(tiny: Path) -> None:
    with (tiny / "val.txt").open("a") as file:
        file.write("images/photo5.png annotations/photo5.png\nimages/photo4.png annotations/photo5.png\n")
    assert [problem.kind for problem in problems_of(tiny)] == [
        "photo-listed-twice",
        "photo-listed-twice-differently",
    ]


def test_photos_on_both_sides_are_told_by_path_and_by_content(tiny: Path) -> None:
    line = write_pair(tiny, "copy", seed=0)
    with (tiny / "val.txt").open("a") as file:
        file.write(f"{line}images/photo1.png annotations/photo1.png\n")
    assert [problem.kind for problem in problems_of(tiny)] == [
        "photo-in-train-and-val",
        "photo-copy-in-train-and-val",
    ]


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileNotFoundError, match="no such folder"):
        check_semantic_dataset(tmp_path / "nowhere")


def test_the_check_never_loads_paddle() -> None:
    code = "import sys, paddlex.data.checks, paddlex.data.formats.index_mask; print('paddle' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
