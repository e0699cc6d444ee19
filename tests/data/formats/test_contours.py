"""Outlines follow pixel edges, so COCO's rasteriser gives the mask back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from paddlex.data.formats.contours import faithful_polygons, flatten, trace_polygons
from paddlex.structures.masks import MaskCrops


def blobs(seed, *, sigma):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((40, 50)), (0, 0), sigma)
    return noise > np.median(noise)


def without_holes(mask):
    framed = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(framed, None, (0, 0), 2, flags=4)
    return (framed != 2)[1:-1, 1:-1]


def rasterise(polygons, size):
    return MaskCrops.from_polygons([[flatten(polygon) for polygon in polygons]], size=size).dense(0)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0], ids=["pixel noise", "specks", "blobs"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_outline_gives_back_every_pixel(seed, sigma):
    mask = without_holes(blobs(seed, sigma=sigma))
    np.testing.assert_array_equal(rasterise(trace_polygons(mask), mask.shape), mask)


def test_rectangle_is_four_pixel_edges():
    mask = np.ones((2, 3), dtype=bool)
    (polygon,) = trace_polygons(mask, y=5, x=7)
    assert sorted(map(tuple, polygon.tolist())) == [(7.0, 5.0), (7.0, 7.0), (10.0, 5.0), (10.0, 7.0)]


def test_separate_parts_are_separate_polygons():
    mask = np.zeros((6, 12), dtype=bool)
    mask[1:4, 1:4] = mask[2:5, 8:11] = True
    assert len(trace_polygons(mask)) == 2


def test_tolerance_spends_fewer_points_and_stays_close():
    y, x = np.mgrid[:60, :60]
    disc = (y - 30) ** 2 + (x - 30) ** 2 < 25**2
    (exact,), (simple,) = trace_polygons(disc), trace_polygons(disc, tolerance=1.0)
    assert len(simple) < len(exact) / 3
    drawn = rasterise([simple], disc.shape)
    assert (drawn & disc).sum() / (drawn | disc).sum() > 0.95


def test_a_pixel_survives_any_tolerance():
    assert len(trace_polygons(np.ones((1, 1), dtype=bool), tolerance=5.0)[0]) >= 3


def test_ring_has_no_faithful_polygons():
    ring = np.ones((1, 20, 20), dtype=bool)
    ring[0, 5:15, 5:15] = False
    assert faithful_polygons(MaskCrops.from_dense(ring), 0) is None


def test_tolerance_is_given_up_where_it_would_cost_too_much():
    cross = np.zeros((1, 9, 9), dtype=bool)
    cross[0, 4, :] = cross[0, :, 4] = True
    masks = MaskCrops.from_dense(cross)
    polygons = faithful_polygons(masks, 0, tolerance=3.0)
    np.testing.assert_array_equal(rasterise(polygons, (9, 9)), cross[0])
