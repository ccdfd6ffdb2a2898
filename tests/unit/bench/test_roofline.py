"""Kernels, bytes and operations are counted without a device and without values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bench.engine import NETWORKS
from bench.roofline import KERNEL_S, captured_pass, count_of
from model.box import Box
from model.networks.lama import LaMaGenerator


def test_each_operation_counts_what_it_reads_and_writes_and_views_count_nothing() -> None:
    x, weight, bias = (torch.empty(shape, device="meta") for shape in ((1, 4, 10, 10), (6, 4, 3, 3), (6,)))

    def run() -> None:
        drawn = F.conv2d(x, weight, bias)
        left, right = drawn.flatten(2).chunk(2, dim=1)
        torch.cat((left, right.expand(5, -1, -1)[:1]), dim=2).relu_()

    count = count_of(run)
    drawn = 6 * 8 * 8
    assert {name: (cost.kernels, cost.nbytes, cost.flops) for name, cost in count.by_operation.items()} == {
        "convolution": (1, 4 * (400 + 216 + 6 + drawn), 2 * drawn * 4 * 9),
        "bias of a convolution": (1, 4 * 2 * drawn, 0),
        "cat": (1, 4 * 2 * drawn, 0),
        "relu_": (1, 4 * 2 * drawn, 0),
    }
    assert count.total().seconds == pytest.approx(4 * KERNEL_S)
    assert count.total(glue=True).kernels == 3


def test_what_is_expanded_counts_once() -> None:
    row, square = torch.empty(1, 8, device="meta"), torch.empty(8, 8, device="meta")
    count = count_of(lambda: row.expand(8, 8) + square)
    assert count.by_operation["add"].nbytes == 4 * (8 + 64 + 64)


def test_a_captured_pass_has_no_glue_around_its_transforms() -> None:
    count = captured_pass(lambda: LaMaGenerator(ngf=8, n_blocks=1), (1, 64, 96), "bf16")
    assert count.floor_s > 0
    assert count.total().kernels == count.total(glue=True).kernels + count.total(glue=False).kernels
    # The type of the picture is changed at the begin, that of the result at the end, and once more to bytes.
    assert count.by_operation["_to_copy"].kernels == 3
    # One joins picture and mask, one the halves of each unit that has both, two in a block, one the pair at the end.
    assert count.by_operation["cat"].kernels == 4
    # The bytes are put in order.
    assert count.by_operation["clone"].kernels == 1
    assert not {"stack", "copy_"} & count.by_operation.keys()


@pytest.mark.parametrize("name", ["big-lama", "fourier-unet"])
def test_a_window_costs_fewer_bytes_and_operations_and_the_same_kernels(name: str) -> None:
    whole, part = (captured_pass(NETWORKS[name], (1, 256, 256), "bf16", box) for box in (None, Box(96, 96, 160, 160)))
    assert part.total().kernels == whole.total().kernels
    assert part.total().nbytes < 0.95 * whole.total().nbytes
    assert part.total().flops < 0.95 * whole.total().flops


def test_more_pictures_cost_more_bytes_and_the_same_kernels() -> None:
    one, four = (captured_pass(lambda: LaMaGenerator(ngf=8, n_blocks=1), (n, 64, 64), "bf16") for n in (1, 4))
    assert four.total().kernels == one.total().kernels
    assert 2 < four.total().nbytes / one.total().nbytes < 4
    assert four.total().flops == 4 * one.total().flops
