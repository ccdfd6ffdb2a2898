"""Copies travel on streams of their own, and every stream waits for what it reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from model.networks.copies import Copies
from tests.unit.model.cuda_stand_in import Card, Race, Stream, StreamOrder, cuda_on_cpu

CPU = torch.device("cpu")


@pytest.fixture(name="card")
def _card() -> Iterator[Card]:
    with cuda_on_cpu() as card:
        yield card


def arrays(value: int) -> list[np.ndarray]:
    return [np.full((4, 6), value + n, np.uint8) for n in range(3)]


def test_copies_and_passes_are_in_order_and_their_memory_is_given_back_after_all_of_them(card: Card) -> None:
    copies = Copies(CPU)
    card.order = StreamOrder()
    with card.order:
        static = torch.empty(3, 4, 6, dtype=torch.uint8)
        landed = []
        for value in (10, 50, 90):
            static.copy_(copies.into(arrays(value)))
            landed.append(copies.back((static + 1).clone(), static.sum()))
    card.order.check_memory()
    for value, ((plus, total), done) in zip((10, 50, 90), landed, strict=True):
        assert card.order.written_before(plus, done)
        assert card.order.written_before(total, done)
        assert np.array_equal(plus.numpy(), np.stack(arrays(value)) + 1)
        assert int(total) == int(np.stack(arrays(value)).sum())


def test_the_next_batch_does_not_wait_for_the_pass_before(card: Card) -> None:
    copies = Copies(CPU)
    card.order = StreamOrder()
    with card.order:
        torch.cuda.current_stream().seen[torch.cuda.current_stream()] += 5
        copies.into(arrays(1))
    assert copies._into.seen[torch.cuda.current_stream()] == 0


def test_the_stand_in_sees_a_stream_that_does_not_wait(card: Card) -> None:
    other = Stream()
    with StreamOrder() as order:
        with torch.cuda.stream(other):
            tensor = torch.zeros(3)
        with pytest.raises(Race, match="neither waits"):
            tensor + 1
        torch.cuda.current_stream().wait_stream(other)
        tensor + 1
    with pytest.raises(Race, match="allocator"):
        order.check_memory()
