"""Every instance segmentation model on the CPU: time, ratio to Paddle Inference, peak memory; as a table.

    python benchmarks/zoo.py [--models PP-YOLOE_seg-S SOLOv2] [--size 640] [--repeats 3]

Each model is exported with random weights and timed by cpu_inference.py (both sides in turns, in one
process); then a process of its own predicts the same photo, and its peak memory is read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PHOTO = HERE.parent / "dataset" / "nuts_labelme" / "images" / "nuts_05.jpg"
_PREDICT = """
import resource, sys
from paddlex import create_model
model = create_model(sys.argv[1], model_dir=sys.argv[2], device="cpu", threshold=0.0)
list(model.predict(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", help="names; all without it")
    parser.add_argument("--size", type=int, help="side of the input or its short side; else the recipes'")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print("| model | input | predict | Paddle Inference | ratio | over bare ONNX Runtime | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for model in options.models or _all_models():
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = _row(model, Path(folder), size=options.size, repeats=options.repeats)
            except subprocess.CalledProcessError as error:  # the others are still worth their time
                said = (error.stderr or "").strip().splitlines() or [f"exit code {error.returncode}"]
                row = f"| {model} | failed: {said[-1]} | | | | | |"
            print(row, flush=True)


def _all_models() -> list[str]:
    from paddlex.modules.zoo import ALL_MODELS

    return [spec.name for spec in ALL_MODELS.values() if spec.task == "instance_segmentation"]


def _row(model: str, folder: Path, *, size: int | None, repeats: int) -> str:
    report = folder / "seconds.json"
    command = [sys.executable, str(HERE / "cpu_inference.py"), "--model", model, "--folder", str(folder)]
    command += ["--json", str(report), "--repeats", str(repeats), *(["--size", str(size)] if size else [])]
    subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(report.read_text(encoding="utf-8"))
    seconds = measured["seconds"]
    arguments = [sys.executable, "-c", _PREDICT, model, str(folder), str(PHOTO)]
    memory = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()[-1]
    return (
        f"| {model} | {measured['input']} | {1000 * seconds['paddlex']:.0f} ms "
        f"| {1000 * seconds['paddle']:.0f} ms | {seconds['paddle'] / seconds['paddlex']:.1f} "
        f"| {seconds['paddlex'] / seconds['onnxruntime']:.2f} | {memory} MB |"
    )


if __name__ == "__main__":
    main()
