"""The queue's depth follows the measured pace, and doubles while the queue runs dry."""

from __future__ import annotations

from cleanplate.base.settings import Settings
from workers.leader.pace import DEEPEST, Pace


class _Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pace(watch: _Watch) -> Pace:
    return Pace(Settings(queue_depth=4, queue_s=5, shard_size=32), watch)


def test_the_queue_holds_a_few_seconds_of_work_however_long_the_backlog() -> None:
    watch = _Watch()
    measured = pace(watch)
    assert (measured.depth, measured.images_per_second) == (4, 0)
    for _ in range(120):
        watch.now += 0.5
        measured.count_ended(320)
        measured.count_published(10, under_way=90)
    assert measured.images_per_second == 640
    assert measured.depth == 100


def test_slow_workers_have_a_short_queue() -> None:
    watch = _Watch()
    measured = pace(watch)
    for _ in range(60):
        watch.now += 0.5
        measured.count_ended(1)
    assert measured.depth == 4


def test_images_that_ended_long_ago_do_not_count() -> None:
    watch = _Watch()
    measured = pace(watch)
    for images in (640, 640, 640):
        watch.now += 1
        measured.count_ended(images)
    for _ in range(40):
        watch.now += 1
        measured.count_ended(0)
    assert measured.images_per_second == 0


def test_while_the_queue_runs_dry_its_depth_doubles() -> None:
    measured = pace(_Watch())
    depths = []
    for _ in range(16):
        depths.append(measured.depth)
        measured.count_published(measured.depth, under_way=0)
    assert depths[:5] == [4, 4, 8, 16, 32]
    assert depths[-1] == DEEPEST
    measured.count_published(3, under_way=9_997)
    assert measured.depth == 4


def test_an_empty_backlog_does_not_make_the_queue_deep() -> None:
    measured = pace(_Watch())
    measured.count_published(4, under_way=0)
    measured.count_published(0, under_way=0)
    assert measured.depth == 4


def test_another_leader_begins_to_measure_anew() -> None:
    watch = _Watch()
    measured = pace(watch)
    for _ in range(3):
        watch.now += 1
        measured.count_ended(10_000)
    measured.reset()
    assert (measured.images_per_second, measured.depth) == (0, 4)
