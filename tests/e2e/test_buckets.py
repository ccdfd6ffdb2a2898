"""From one prefix of a bucket into another, with the whole service: a process killed midway, and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bench.bucket import SIDES, Shop, cut_pictures, one_call, shop_on_servers
from tests.running import REPOSITORY, cleanplate
from tests.servers import PostgresServer, RedisServer, S3Server

PHOTOS = sorted((REPOSITORY / "samples" / "marked").iterdir())
RIGHTS = ["--rights-basis", "licensee", "--attested-by", "Jo Doe", "--rights-reference", "CC0 samples"]


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
) -> Iterator[Shop]:
    """A service whose leases are short, so that a killed process costs seconds."""
    folder = tmp_path_factory.mktemp("shop")
    hasty = {"lease_s": 3.0, "heartbeat_s": 0.5, "dispatch_interval_s": 0.1, "shard_size": 4, "torch_threads": 1}
    with shop_on_servers(postgres_server, redis_server, s3_server, folder, **hasty) as running_shop:
        yield running_shop


def mask_file(folder: Path) -> str:
    """A mask of all cut pictures."""
    mask = Image.new("L", SIDES, 0)
    mask.paste(255, (200, 200, 300, 230))
    mask.save(folder / "mask.png")
    return "mask.png"


def run(shop: Shop, folder: Path, *words: str, status: int = 0) -> str:
    """Run a command in ``folder``; its output, in one line."""
    settings = {"CLEANPLATE_URL": shop.url, "CLEANPLATE_API_KEY": shop.key}
    ended = cleanplate(*words, *RIGHTS, settings=settings, folder=folder)
    assert ended.returncode == status, ended.stdout + ended.stderr
    return " ".join((ended.stdout + ended.stderr).split())


def test_a_bucket_goes_through_one_call_although_a_process_is_killed(shop: Shop) -> None:
    figures = one_call(shop, PHOTOS, 60)
    assert figures["differences"] == []
    assert figures["succeeded"] == 60


def test_the_command_line_cleans_a_bucket_and_syncs_only_what_is_new(shop: Shop, tmp_path: Path) -> None:
    pictures = dict(cut_pictures(PHOTOS, 5))
    for path, data in pictures.items():
        shop.store.put(f"in/{path}", data)
    shop.store.put("in/list.csv", b"no picture")
    source, target = (f"s3://{shop.store.bucket}/{prefix}/" for prefix in ("in", "out"))
    places = (source, "--to", target, "--mask", mask_file(tmp_path))

    planned = run(shop, tmp_path, "submit", *places, "--dry-run")
    assert "5 pictures would be taken: 5 with a mask of kind file." in planned
    assert f"Left out: {source}list.csv: It is not a picture by its name." in planned
    assert all(f"Result: {target}{path}" in planned for path in pictures)
    assert shop.store.hashes("out/") == {}

    told = run(shop, tmp_path, "submit", *places)
    assert f"5 of 5 images are clean, in {target}." in told
    assert f"Left out: {source}list.csv: It is not a picture by its name." in told
    first = shop.store.hashes("out/")
    assert set(first) == set(pictures)
    told = run(shop, tmp_path, "sync", *places)
    assert f"5 pictures have a result in {target} already." in told
    assert f"0 pictures are clean, in {target}." in told
    assert shop.store.hashes("out/") == first

    # One is changed, one is new, one result is gone, and one source is stored again as it was.
    changed, other, gone, same = list(pictures)[:4]
    another = dict(cut_pictures(PHOTOS[1:], 1))
    shop.store.put(f"in/{changed}", another[changed])
    shop.store.put("in/new/one.JPG", pictures[same])
    shop.store.delete(f"out/{gone}")
    shop.store.put(f"in/{same}", pictures[same])
    told = run(shop, tmp_path, "sync", *places)
    assert f"3 pictures have a result in {target} already." in told
    assert f"3 pictures are clean, in {target}." in told
    second = shop.store.hashes("out/")
    assert set(second) == {*pictures, "new/one.JPG"}
    assert second[changed] != first[changed]
    assert all(second[path] == first[path] for path in (other, gone, same))


def test_a_bucket_comes_into_a_folder_and_a_folder_into_a_bucket(shop: Shop, tmp_path: Path) -> None:
    ((path, data),) = cut_pictures(PHOTOS, 1)
    shop.store.put(f"single/{path}", data)
    source = f"s3://{shop.store.bucket}/single/"
    mask = mask_file(tmp_path)
    told = run(shop, tmp_path, "submit", source, "--mask", mask, "--out", "clean")
    assert "1 of 1 images are clean, in clean." in told
    assert [file.relative_to(tmp_path / "clean").as_posix() for file in (tmp_path / "clean").rglob("*.*")] == [path]

    target = f"s3://{shop.store.bucket}/from-folder/"
    told = run(shop, tmp_path, "submit", "clean", "--mask", mask, "--to", f"{target}{{stem}}-clean{{ext}}")
    assert f"1 of 1 images are clean, in {target}{{stem}}-clean{{ext}}." in told
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    assert set(shop.store.hashes("from-folder/")) == {f"{stem}-clean.{ending}"}
    assert not list((tmp_path / "clean").glob(".cleanplate*"))


def test_places_that_cannot_be_are_refused(shop: Shop, tmp_path: Path) -> None:
    source = f"s3://{shop.store.bucket}/single/"
    mask = mask_file(tmp_path)
    for words, sentence in {
        ("submit", source, "--mask", mask): "Say where the results go",
        ("submit", source, "--mask", mask, "--out", "clean", "--glob", "*.jpg"): "name a narrower prefix",
        ("sync", source, "--mask", mask, "--to", "clean"): "give --to s3://bucket/prefix/",
        ("submit", "s3://elsewhere/in/", "--mask", mask, "--out", "clean"): "not one that this service may read",
    }.items():
        assert sentence in run(shop, tmp_path, *words, status=2), words
