#!/bin/sh
# The main job on real photos: check and convert, train, evaluate, export, predict.
# A copy of the photos is used, because the conversion works in place.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-output/demo}
CONFIG=paddlex/configs/instance_segmentation/PP-YOLOE_seg-S.yaml
SIZE=${SIZE:-320}
EPOCHS=${EPOCHS:-150}

rm -rf "$OUT"
mkdir -p "$OUT"
cp -r dataset/nuts_labelme "$OUT/dataset"

step() { printf '\n=== %s\n' "$1"; }
paddlex() { "$PYTHON" main.py -c "$CONFIG" -o Global.output="$OUT" -o Global.dataset_dir="$OUT/dataset" "$@"; }

step "1 of 5: check the data set, LabelMe files converted to COCO"
paddlex -o Global.mode=check_dataset \
    -o CheckDataset.convert.enable=True -o CheckDataset.convert.src_dataset_type=LabelMe

step "2 of 5: train (weights trained on COCO are downloaded; without a connection it starts from scratch)"
paddlex -o Global.mode=train -o Train.input_size="$SIZE" -o Train.epochs_iters="$EPOCHS" \
    -o Train.batch_size=4 -o Train.augment=False -o Train.multi_scale=False \
    -o Train.eval_interval=25 -o Train.num_workers=0

step "3 of 5: evaluate on the photos kept for validation"
paddlex -o Global.mode=evaluate -o Evaluate.weight_path="$OUT/best_model/best_model.pdparams"

step "4 of 5: export"
paddlex -o Global.mode=export -o Export.weight_path="$OUT/best_model/best_model.pdparams"

step "5 of 5: predict every photo"
paddlex -o Global.mode=predict -o Global.output="$OUT/predictions" \
    -o Predict.model_dir="$OUT/model_final/inference" -o Predict.input=dataset/nuts_labelme/images

printf '\nLook at %s: check_dataset/, training_curve.png, evaluate/ and predictions/.\n' "$OUT"
