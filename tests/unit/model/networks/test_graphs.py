"""Captured passes own what they read, share one pool of memory, and give it back when memory is short."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from torch import Tensor, nn

from model.box import Box
from model.networks.fused import fuse
from model.networks.graphs import Batch, DeviceGraphs
from model.networks.lama import LaMaGenerator
from model.networks.program import BytePass
from model.networks.spectral import DftTransform, _forward_matrices, _inverse_matrices
from tests.unit.model.cuda_stand_in import FreedMemory, StandInGraph, cuda_on_cpu

CPU = torch.device("cpu")


def lama() -> nn.Module:
    torch.manual_seed(0)
    return BytePass(fuse(LaMaGenerator(ngf=4, n_blocks=1), "dft"))


class Mirror(nn.Module):
    """To frequencies and back, with a weight: all that a graph may read, in little time."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 0.5), requires_grad=False)

    def forward(self, pixels: Tensor, holes: Tensor, window: Box, strength: Tensor | None) -> tuple[Tensor, Tensor]:
        transform = DftTransform()
        x = pixels.permute(0, 3, 1, 2).float()
        drawn = self.gain * transform.inverse(transform.forward(x), x.shape[-1])
        return drawn[..., *window.slices].permute(0, 2, 3, 1), drawn.sum()


def example(side: int, height: int = 32, batch: int = 1, window: Box | None = None, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(side + seed)
    pixels = torch.randint(256, (batch, height, side, 3), dtype=torch.uint8, generator=generator)
    holes = torch.randint(2, (batch, height, side), dtype=torch.uint8, generator=generator)
    return Batch(pixels, holes, window or Box(0, 0, height, side))


def forget_matrices() -> None:
    _forward_matrices.cache_clear()
    _inverse_matrices.cache_clear()
    gc.collect()


@torch.inference_mode()
def test_graphs_of_fifty_shapes_own_what_they_read() -> None:
    network = Mirror()
    shapes = [16 * n for n in range(2, 52)]
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        for side in shapes:
            graphs.run(network, example(side))
        # The cache forgets sizes that nobody asked for lately. The graphs read them all the same.
        forget_matrices()
        for side in shapes:
            torch.testing.assert_close(graphs.run(network, example(side)), network(*example(side)))
    assert card.captures == len(shapes)


@torch.inference_mode()
def test_the_stand_in_sees_memory_that_was_given_back() -> None:
    network = Mirror()
    x = example(64)
    network(*x)
    graph = StandInGraph()
    with graph:
        network(*x)
    graph.replay()
    forget_matrices()
    with pytest.raises(FreedMemory):
        graph.replay()


@torch.inference_mode()
def test_a_replay_reads_the_batch_and_the_strengths_that_it_is_given() -> None:
    network = lama()
    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        graphs.run(network, example(48, batch=2)._replace(strength=torch.tensor([1.0, 0.5])))
        batch = example(48, batch=2, seed=1)._replace(strength=torch.tensor([0.25, 1.0]))
        torch.testing.assert_close(graphs.run(network, batch), network(*batch))


@torch.inference_mode()
def test_graphs_share_one_pool_and_all_are_let_go_over_its_limit() -> None:
    network = Mirror()
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        for side in (32, 64, 96):
            graphs.run(network, example(side))
        assert len(card.pools) == 1
        whole = card.reserved()
        assert graphs.shed()
        assert card.reserved() == 0
        assert not graphs.shed()
        # A pool that may hold less than its largest graph is emptied after each.
        bounded = DeviceGraphs(CPU, pool_bytes=whole - 1)
        for _ in range(2):
            bounded.run(network, example(96))
            assert card.reserved() == 0
    assert card.captures == 5


@torch.inference_mode()
def test_the_graphs_of_one_network_are_forgotten_and_the_oldest_go_first() -> None:
    first, second = Mirror(), Mirror()
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, most=2, pool_bytes=1 << 40)
        for network in (first, second, first, second):
            graphs.run(network, example(32))
        assert card.captures == 2
        graphs.forget(first)
        graphs.run(second, example(32))
        assert card.captures == 2
        graphs.run(first, example(32))
        graphs.run(first, example(48))
        graphs.run(second, example(32))
    assert card.captures == 5


@torch.inference_mode()
def test_nothing_is_loaded_while_a_pass_is_captured() -> None:
    entered, loaded = threading.Event(), threading.Event()

    class Slow(nn.Module):
        def forward(self, pixels: Tensor, *_: object) -> tuple[Tensor]:
            entered.set()
            assert not loaded.wait(0.2)
            return (pixels + 0,)

    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)

        def load() -> None:
            assert entered.wait(60)
            with graphs.alone():
                loaded.set()

        loading = threading.Thread(target=load)
        loading.start()
        graphs.run(Slow(), example(32))
        loading.join()
    assert loaded.is_set()


CORNER = Box(100, 90, 120, 130)


@torch.inference_mode()
def test_a_window_that_is_often_asked_for_is_drawn_alone_and_others_as_the_whole_tile() -> None:
    network = lama()
    shape, whole = (1, 256, 256, 3), Box(0, 0, 256, 256)
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        windows = [graphs.drawn(network, shape, CORNER) for _ in range(3)]
        assert windows == [whole, whole, Box(64, 64, 128, 192)]
        # A window beside it on the grid is the same one, and a nearly whole one is whole.
        assert graphs.drawn(network, shape, Box(70, 64, 101, 190)) == windows[2]
        assert graphs.drawn(network, shape, Box(0, 0, 200, 256)) == whole
        for window in windows[1:]:
            batch = example(256, height=256, window=window)
            levels, _ = graphs.run(network, batch)
            expected, _ = network(*batch._replace(window=whole))
            assert levels.shape == (1, window.height, window.width, 3)
            assert (levels.int() - expected[:, *window.slices].int()).abs().max() <= 1
        assert card.captures == 2
        # Forgotten with its network.
        graphs.forget(network)
        assert graphs.drawn(network, shape, CORNER) == whole


@torch.inference_mode()
def test_a_pass_that_was_captured_ahead_is_not_captured_again() -> None:
    network = lama()
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        assert graphs.warm(network, (2, 256, 256), CORNER)
        assert graphs.warm(network, (2, 256, 256), CORNER)
        window = graphs.drawn(network, (2, 256, 256, 3), CORNER)
        assert window == Box(64, 64, 128, 192)
        batch = example(256, height=256, batch=2, window=window)
        torch.testing.assert_close(graphs.run(network, batch), network(*batch))
    assert card.captures == 1


@torch.inference_mode()
def test_capturing_ahead_ends_at_the_pools_limit_and_lets_go_of_nothing() -> None:
    network = Mirror()
    with cuda_on_cpu() as card:
        measure = DeviceGraphs(CPU, pool_bytes=1 << 40)
        measure.warm(network, (1, 64, 64), Box(0, 0, 64, 64))
        small = card.reserved()
        measure.shed()
        graphs = DeviceGraphs(CPU, pool_bytes=3 * small)
        assert graphs.warm(network, (1, 64, 64), Box(0, 0, 64, 64))
        # Four times as large, by what the first took, it has no room, and is not tried.
        assert not graphs.warm(network, (4, 64, 64), Box(0, 0, 64, 64))
        assert card.captures == 2
        assert card.reserved() == small
        few = DeviceGraphs(CPU, most=1, pool_bytes=1 << 40)
        assert few.warm(network, (1, 64, 64), Box(0, 0, 64, 64))
        assert not few.warm(network, (1, 64, 96), Box(0, 0, 64, 96))
    assert card.captures == 3
