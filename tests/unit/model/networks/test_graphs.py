"""Captured passes own what they read, share one pool of memory, and give it back when memory is short."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from torch import Tensor, nn

from model.networks.fused import fuse
from model.networks.graphs import DeviceGraphs
from model.networks.lama import LaMaGenerator
from model.networks.spectral import DftTransform, _forward_matrices, _inverse_matrices
from tests.unit.model.cuda_stand_in import FreedMemory, StandInGraph, cuda_on_cpu

CPU = torch.device("cpu")


def lama() -> nn.Module:
    torch.manual_seed(0)
    return fuse(LaMaGenerator(ngf=4, n_blocks=1), "dft")


class Mirror(nn.Module):
    """To frequencies and back, with a weight: all that a graph may read, in little time."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 0.5), requires_grad=False)

    def forward(self, x: Tensor, window: object, strength: Tensor | None) -> Tensor:
        transform = DftTransform()
        return self.gain * transform.inverse(transform.forward(x[:, :3]), x.shape[-1])


def example(side: int, height: int = 32, batch: int = 1) -> Tensor:
    return torch.rand(batch, 4, height, side, generator=torch.Generator().manual_seed(side))


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
            graphs.run(network, example(side), None)
        # The cache forgets sizes that nobody asked for lately. The graphs read them all the same.
        forget_matrices()
        for side in shapes:
            torch.testing.assert_close(graphs.run(network, example(side), None), network(example(side), None, None))
    assert card.captures == len(shapes)


@torch.inference_mode()
def test_the_stand_in_sees_memory_that_was_given_back() -> None:
    network = Mirror()
    x = example(64)
    network(x, None, None)
    graph = StandInGraph()
    with graph:
        network(x, None, None)
    graph.replay()
    forget_matrices()
    with pytest.raises(FreedMemory):
        graph.replay()


@torch.inference_mode()
def test_a_replay_reads_the_batch_and_the_strengths_that_it_is_given() -> None:
    network = lama()
    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        graphs.run(network, example(48, batch=2), torch.tensor([1.0, 0.5]))
        batch, strength = example(48, batch=2).flip(0) * 0.5, torch.tensor([0.25, 1.0])
        torch.testing.assert_close(graphs.run(network, batch, strength), network(batch, None, strength))


@torch.inference_mode()
def test_graphs_share_one_pool_and_all_are_let_go_over_its_limit() -> None:
    network = Mirror()
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        for side in (32, 64, 96):
            graphs.run(network, example(side), None)
        assert len(card.pools) == 1
        whole = card.reserved()
        assert graphs.shed()
        assert card.reserved() == 0
        assert not graphs.shed()
        # A pool that may hold less than its largest graph is emptied after each.
        bounded = DeviceGraphs(CPU, pool_bytes=whole - 1)
        for _ in range(2):
            bounded.run(network, example(96), None)
            assert card.reserved() == 0
    assert card.captures == 5


@torch.inference_mode()
def test_the_graphs_of_one_network_are_forgotten_and_the_oldest_go_first() -> None:
    first, second = Mirror(), Mirror()
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, most=2, pool_bytes=1 << 40)
        for network in (first, second, first, second):
            graphs.run(network, example(32), None)
        assert card.captures == 2
        graphs.forget(first)
        graphs.run(second, example(32), None)
        assert card.captures == 2
        graphs.run(first, example(32), None)
        graphs.run(first, example(48), None)
        graphs.run(second, example(32), None)
    assert card.captures == 5


@torch.inference_mode()
def test_nothing_is_loaded_while_a_pass_is_captured() -> None:
    entered, loaded = threading.Event(), threading.Event()

    class Slow(nn.Module):
        def forward(self, x: Tensor, window: object, strength: Tensor | None) -> Tensor:
            entered.set()
            assert not loaded.wait(0.2)
            return x[:, :3] + 0

    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)

        def load() -> None:
            assert entered.wait(60)
            with graphs.alone():
                loaded.set()

        loading = threading.Thread(target=load)
        loading.start()
        graphs.run(Slow(), example(32), None)
        loading.join()
    assert loaded.is_set()
