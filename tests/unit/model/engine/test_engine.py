"""The engine batches tiles of many threads, answers every one, and recovers from errors of a device."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from model import LaMaInpainter
from model.box import Box
from model.cores import usable_cores
from model.engine.engine import Engine
from model.engine.flight import Tile
from model.errors import (
    DeviceFull,
    DeviceLost,
    DeviceUnusable,
    EngineClosed,
    ImageRejected,
    MaskRejected,
    ResultNotFinite,
    WeightsRejected,
)
from model.imaging import Limits
from model.networks.ffc import SpectralTransform
from model.networks.graphs import DeviceGraphs
from model.networks.lama import LaMaGenerator
from model.networks.precision import Precision
from model.networks.spectral import DftTransform
from model.networks.weights import Description, save_weights
from model.repair.task import read
from tests.unit.model.cuda_stand_in import cuda_on_cpu

CPU = torch.device("cpu")


class Probe(nn.Module):
    """A network whose result identifies its input, and which calls a test's hook for each batch."""

    def __init__(self, on_batch: Callable[[Tensor, torch.dtype], None] = lambda _, __: None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.on_batch = on_batch

    def __deepcopy__(self, memo: object) -> Probe:
        return Probe(self.on_batch)

    def forward(self, x: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
        self.on_batch(x, self.gain.dtype)
        mean = x[:, :3].mean(dim=(2, 3), keepdim=True) * self.gain.to(x.dtype)
        return mean.expand(-1, -1, window.height, window.width) / self.gain.float()


def tile(value: int = 100, side: int = 64) -> Tile:
    hole = np.zeros((side, side), np.uint8)
    hole[10:20, 10:20] = 255
    return Tile(np.full((side, side, 3), value, np.uint8), hole)


def mean_of(value: int, side: int = 64) -> int:
    return round(value * (1 - 100 / side**2))


OnBatch = Callable[[Tensor, torch.dtype], None]


def engine(on_batch: OnBatch = lambda _, __: None, precision: Precision = "fp32", **options: float) -> Engine:
    return Engine(Probe(on_batch), CPU, precision, **options)  # type: ignore[arg-type]


def test_tiles_of_many_threads_share_passes_and_each_gets_its_own_answer() -> None:
    sizes: list[int] = []
    together = threading.Barrier(8)

    def ask(value: int) -> int:
        together.wait()
        return int(running.submit(tile(value)).result().values[12, 12, 0])

    running = engine(lambda x, _: sizes.append(len(x)), max_batch=4, max_delay_ms=2000)
    with running, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(10, 90, 10)))
    assert answers == [mean_of(value) for value in range(10, 90, 10)]
    assert sizes == [4, 4]


def test_a_lonely_tile_waits_no_longer_than_the_delay_and_sizes_do_not_mix() -> None:
    shapes: list[tuple[int, ...]] = []
    with engine(lambda x, _: shapes.append(tuple(x.shape)), max_batch=8, max_delay_ms=20) as running:
        futures = [running.submit(tile(50, side)) for side in (64, 80, 64)]
        values = [int(future.result().values[12, 12, 0]) for future in futures]
    assert values == [mean_of(50, 64), mean_of(50, 80), mean_of(50, 64)]
    assert sorted(shapes) == [(1, 4, 80, 80), (2, 4, 64, 64)]


def test_closing_answers_what_was_asked_and_refuses_what_comes_after() -> None:
    running = engine(max_batch=64, max_delay_ms=60_000)
    asked = [running.submit(tile()) for _ in range(3)]
    running.close()
    running.close()
    assert all(future.done() for future in asked)
    with pytest.raises(EngineClosed):
        running.submit(tile())


def test_a_taken_back_tile_is_not_computed() -> None:
    seen: list[int] = []
    with engine(lambda x, _: seen.append(len(x)), max_batch=8, max_delay_ms=60_000) as running:
        kept, dropped = running.submit(tile(1)), running.submit(tile(2))
        assert dropped.cancel()
    assert kept.done()
    assert seen == [1]


def test_an_error_reaches_those_who_asked_and_the_engine_goes_on() -> None:
    def refuse_dark(x: Tensor, _: torch.dtype) -> None:
        if x[:, :3].max() < 0.1:
            raise ArithmeticError("too dark")

    with engine(refuse_dark, max_batch=1) as running:
        with pytest.raises(ArithmeticError, match="too dark"):
            running.submit(tile(5)).result()
        assert running.submit(tile(200)).result().notes == ()


def test_a_batch_that_does_not_fit_is_halved() -> None:
    def room_for_two(x: Tensor, _: torch.dtype) -> None:
        if len(x) > 2:
            raise torch.OutOfMemoryError("no room")

    with engine(room_for_two, max_batch=8, max_delay_ms=60_000) as running:
        futures = [running.submit(tile(value)) for value in range(10, 90, 10)]
        results = [future.result() for future in futures]
    assert all("smaller_batch" in result.notes for result in results)
    answers = [int(result.values[12, 12, 0]) for result in results]
    assert answers == [mean_of(value) for value in range(10, 90, 10)]


def test_a_tile_that_does_not_fit_is_cut_into_smaller_ones() -> None:
    def room_for_small(x: Tensor, _: torch.dtype) -> None:
        if x.shape[-1] > 300:
            raise torch.OutOfMemoryError("no room")

    whole = Tile(np.full((512, 512, 3), 128, np.uint8), np.full((512, 512), 255, np.uint8))
    with engine(room_for_small, max_batch=1) as running:
        result = running.submit(whole).result()
    assert result.notes == ("smaller_tiles",)
    assert (result.values == 0).all()


def test_only_as_many_tiles_share_a_pass_as_are_cheaper_together() -> None:
    sizes: list[int] = []
    with engine(lambda x, _: sizes.append(len(x)), max_batch=8, batch_px=3 * 64 * 64, max_delay_ms=60_000) as running:
        futures = [running.submit(tile()) for _ in range(6)] + [running.submit(tile(side=256))]
        for future in futures:
            future.result()
        assert (running.load.tiles, running.load.passes) == (7, 4)
    # A device captures few shapes: batches have 1, 2, 4 or 8 tiles.
    assert sizes == [2, 2, 2, 1]


def test_a_host_without_memory_is_mended_like_a_device_without() -> None:
    def room_for_one(x: Tensor, _: torch.dtype) -> None:
        if len(x) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    with engine(room_for_one, max_batch=2, max_delay_ms=60_000) as running:
        futures = [running.submit(tile()) for _ in range(2)]
        assert [future.result().notes for future in futures] == [("smaller_batch",)] * 2


def test_a_tile_that_fits_nowhere_is_an_error_that_may_pass() -> None:
    def no_room(_: Tensor, __: torch.dtype) -> None:
        raise torch.OutOfMemoryError("no room")

    with engine(no_room, max_batch=1) as running, pytest.raises(DeviceFull) as raised:
        running.submit(tile()).result()
    assert raised.value.transient


ERRORS_OF_LOST_DEVICES = [
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", ERRORS_OF_LOST_DEVICES)
def test_a_device_that_failed_is_lost_to_all_who_ask_later(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Tensor, __: torch.dtype) -> None:
        raise error

    with engine(fail, max_batch=1) as running:
        # After such an error a device that is lost fails everything.
        monkeypatch.setattr(torch, "ones", lambda *_, **__: fail(torch.empty(0), torch.float32))
        with pytest.raises(DeviceLost):
            running.submit(tile()).result()
        assert running.lost
        with pytest.raises(DeviceLost):
            running.submit(tile())


@pytest.mark.parametrize("error", ERRORS_OF_LOST_DEVICES[:2])
def test_a_device_that_still_computes_is_not_lost(error: Exception) -> None:
    def fail_once(x: Tensor, __: torch.dtype) -> None:
        if x[:, :3].max() < 0.1:
            raise error

    with engine(fail_once, max_batch=1) as running:
        with pytest.raises(type(error)):
            running.submit(tile(5)).result()
        assert running.submit(tile(200)).result().notes == ()


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    ],
)
def test_every_word_for_no_memory_halves_the_batch(words: str) -> None:
    def room_for_one(x: Tensor, _: torch.dtype) -> None:
        if len(x) > 1:
            raise RuntimeError(words)

    with engine(room_for_one, max_batch=2, max_delay_ms=60_000) as running:
        futures = [running.submit(tile()) for _ in range(2)]
        assert [future.result().notes for future in futures] == [("smaller_batch",)] * 2


def test_an_error_with_the_code_of_no_memory_halves_the_batch() -> None:
    short = torch.AcceleratorError("CUDA error")
    short.error_code = 2  # type: ignore[attr-defined]

    def room_for_one(x: Tensor, _: torch.dtype) -> None:
        if len(x) > 1:
            raise short

    with engine(room_for_one, max_batch=2, max_delay_ms=60_000) as running:
        futures = [running.submit(tile()) for _ in range(2)]
        assert [future.result().notes for future in futures] == [("smaller_batch",)] * 2


def test_a_pass_that_hangs_is_seen_from_outside() -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(_: Tensor, __: torch.dtype) -> None:
        entered.set()
        release.wait(60)

    with engine(hang, max_batch=1) as running:
        assert running.load.stalled_s == 0
        future = running.submit(tile())
        assert entered.wait(60)
        first, second = running.load.stalled_s, running.load.stalled_s
        assert 0 < first <= second
        release.set()
        future.result()
        assert running.load.stalled_s == 0


def test_a_tile_that_fits_nowhere_else_is_filled_on_the_cpu_in_fp32() -> None:
    def no_room_in_half(_: Tensor, dtype: torch.dtype) -> None:
        if dtype == torch.bfloat16:
            raise torch.OutOfMemoryError("no room")

    with engine(no_room_in_half, "bf16", max_batch=1) as running:
        result = running.submit(tile(100)).result()
    assert result.notes == ("cpu",)
    assert int(result.values[12, 12, 0]) == mean_of(100)


class Overflowing(Probe):
    """Not finite in half precision; in fp32 only where ``always``."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always

    def __deepcopy__(self, memo: object) -> Overflowing:
        return Overflowing(self.always)

    def forward(self, x: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
        result = super().forward(x, window)
        overflows = self.always or self.gain.dtype == torch.bfloat16
        return result + torch.inf if overflows else result


def test_values_that_are_not_finite_are_computed_again_in_fp32() -> None:
    with Engine(Overflowing(always=False), CPU, "bf16", max_batch=1) as running:
        result = running.submit(tile(100)).result()
    assert result.notes == ("fp32",)
    assert int(result.values[12, 12, 0]) == mean_of(100)


def test_a_network_that_overflows_again_and_again_stays_in_fp32() -> None:
    dtypes: list[torch.dtype] = []

    class Counting(Overflowing):
        def __deepcopy__(self, memo: object) -> Counting:
            return Counting(self.always)

        def forward(self, x: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
            dtypes.append(self.gain.dtype)
            return super().forward(x, window)

    with Engine(Counting(always=False), CPU, "bf16", max_batch=1) as running:
        notes = [running.submit(tile(100)).result().notes for _ in range(5)]
    assert notes == [("fp32",)] * 5
    assert dtypes == [torch.bfloat16, torch.float32] * 3 + [torch.float32] * 2


def test_values_that_are_not_finite_in_fp32_either_are_an_error() -> None:
    with Engine(Overflowing(always=True), CPU, "bf16", max_batch=1) as running, pytest.raises(ResultNotFinite):
        running.submit(tile()).result()


@pytest.mark.parametrize("shape", [(60, 64), (64, 60)])
def test_sides_off_the_grid_are_refused(shape: tuple[int, int]) -> None:
    with engine() as running, pytest.raises(ValueError, match="multiples of 16"):
        running.submit(Tile(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 4), dtype=np.uint8)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    painted = np.zeros((90, 120), np.uint8)
    painted[40:50, 30:90] = 255
    return painted


@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3), (90, 120, 4)])
def test_three_lines_clean_a_picture_of_any_of_its_shapes(
    shape: tuple[int, ...], picture: np.ndarray, mask: np.ndarray
) -> None:
    image = picture[..., 0] if len(shape) == 2 else picture[..., : shape[2]].copy()
    with LaMaInpainter(device="cpu") as inpainter:
        clean = inpainter(image, mask)
        again = inpainter(image, mask > 0)
    assert clean.shape == image.shape
    assert clean.dtype == np.uint8
    changed = clean != image if clean.ndim == 2 else (clean != image).any(axis=2)
    assert changed[mask > 0].any()
    assert not changed[:30].any()
    assert np.array_equal(clean, again)
    if clean.ndim == 3 and clean.shape[2] == 4:
        assert np.array_equal(clean[..., 3], image[..., 3])


def test_many_pictures_come_back_in_order(picture: np.ndarray, mask: np.ndarray) -> None:
    images = [np.roll(picture[..., :3], shift, axis=1).copy() for shift in range(4)]
    with LaMaInpainter(device="cpu") as inpainter:
        several = list(inpainter.many(images, [mask] * 4))
        for image, clean in zip(images, several, strict=True):
            assert np.array_equal(inpainter(image, mask), clean)
        with pytest.raises(ValueError, match="one mask for each image"):
            list(inpainter.many(images, [mask]))


def test_arrays_that_do_not_fit_are_refused_with_a_sentence(picture: np.ndarray, mask: np.ndarray) -> None:
    rgb = picture[..., :3].copy()
    with LaMaInpainter(device="cpu") as inpainter:
        for image in (rgb.astype(np.float32), rgb[..., :2], rgb[None], np.zeros((0, 5, 3), np.uint8)):
            with pytest.raises(ImageRejected, match="give"):
                inpainter(image, mask)
        for code, wrong in (
            ("mask_array_unsupported", mask.astype(np.float32)),
            ("mask_size_mismatch", mask[:-1]),
            ("mask_empty", np.zeros_like(mask)),
        ):
            with pytest.raises(MaskRejected) as refusal:
                inpainter(rgb, wrong)
            assert refusal.value.code == code


def test_a_faint_mask_is_repaired_on_request_and_the_fill_can_be_had_as_the_network_gave_it() -> None:
    random = np.random.default_rng(5)
    image = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 1
    with LaMaInpainter(device="cpu", threads=1) as inpainter:
        with pytest.raises(MaskRejected, match="nothing"):
            inpainter(image, mask)
        exact = inpainter(
            image, mask, mask_threshold=1, match_colour=False, method="fill", texture=0, dilation_px=0, feather_px=0
        )
        hole = mask * np.uint8(255)
        [filled] = [inpainter.engine.submit(Tile(image, hole)).result().values]
    inside = mask > 0
    assert np.array_equal(exact[~inside], image[~inside])
    assert np.array_equal(exact[inside], filled[inside])


def test_half_precision_is_within_45_db_of_single_on_photos() -> None:
    """Inside the mask, on the sample photos, with the weights that ship."""
    samples = Path(__file__).parents[4] / "samples"
    for photo in sorted((samples / "marked").iterdir())[:2]:
        image = np.asarray(Image.open(photo).convert("RGB"))
        mask = np.asarray(Image.open(samples / "masks" / photo.name).convert("L"))
        results = []
        for precision in ("fp32", "bf16"):
            with LaMaInpainter(device="cpu", precision=precision) as inpainter:  # type: ignore[arg-type]
                results.append(inpainter(image, mask)[mask > 127].astype(np.float64))
        error = np.mean((results[0] - results[1]) ** 2)
        assert 10 * np.log10(255**2 / error) >= 45


def test_ffc_lambda_changes_the_fill_and_one_is_as_trained(picture: np.ndarray, mask: np.ndarray) -> None:
    image = picture[..., :3].copy()
    fills: dict[float | None, np.ndarray] = {}
    with LaMaInpainter(device="cpu") as inpainter:
        for value in (1.0, 0.0):
            fills[value] = inpainter(image, mask, ffc_lambda=value)
        fills[None] = inpainter(image, mask)
    assert np.array_equal(fills[None], fills[1.0])
    assert not np.array_equal(fills[0.0], fills[1.0])


def test_tiles_of_different_ffc_lambda_share_a_batch_and_each_is_as_alone() -> None:
    torch.manual_seed(0)
    network = LaMaGenerator(ngf=8, n_blocks=2).eval()
    for module in network.modules():
        if isinstance(module, SpectralTransform):
            module.conv2.weight.data *= 50  # so that levels show it
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = tile().hole
    values = [step / 7 for step in range(8)]
    with Engine(network, CPU, "fp32", max_batch=8, max_delay_ms=60_000) as running:
        answers = [running.submit(Tile(pixels, hole, value)) for value in values]
        together = [answer.result().values for answer in answers]
        assert running.load.passes == 1
    with Engine(network, CPU, "fp32", max_batch=1) as running:
        alone = [running.submit(Tile(pixels, hole, value)).result().values for value in values]
    marked = hole > 0
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one[marked], other[marked].astype(int), atol=1)
    assert all((one != other)[marked].any() for one, other in pairwise(together))


def test_a_cpu_holds_the_weights_once() -> None:
    with Engine(LaMaGenerator(ngf=8, n_blocks=2).eval(), CPU, "fp32") as running:
        (program,) = running._programs.values()
        held = {parameter.data_ptr() for parameter in running._network.parameters()}
        assert {parameter.data_ptr() for parameter in program._pass.parameters()} == held


def test_a_tile_that_is_cut_keeps_its_ffc_lambda() -> None:
    heard: list[Tensor | None] = []

    class Full(Probe):
        """Has no room for tiles of 256 px."""

        def __deepcopy__(self, memo: object) -> Full:
            return Full(self.on_batch)

        def forward(self, x: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
            if x.shape[-1] >= 256:
                raise torch.OutOfMemoryError("no room")
            heard.append(strength)
            return super().forward(x, window)

    whole = Tile(np.full((256, 256, 3), 128, np.uint8), np.full((256, 256), 255, np.uint8), 0.25)
    with Engine(Full(), CPU, "fp32", max_batch=1) as running:
        assert "smaller_tiles" in running.submit(whole).result().notes
    assert len(heard) > 1
    assert all(strength is not None and strength.tolist() == [0.25] for strength in heard)


def test_weights_may_be_a_file_or_a_name_that_was_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsRejected, match="cleanplate weights pull big-lama"):
        LaMaInpainter("big-lama", device="cpu")
    with pytest.raises(WeightsRejected, match="no weights file"):
        LaMaInpainter(tmp_path / "absent.safetensors", device="cpu")
    pulled = tmp_path / ".cleanplate" / "weights" / "big-lama.safetensors"
    pulled.parent.mkdir(parents=True)
    save_weights(
        LaMaGenerator(ngf=8, n_blocks=1), Description("lama", {"ngf": 8, "n_blocks": 1}), pulled, dtype=torch.float32
    )
    for weights in ("big-lama", pulled, str(pulled)):
        with LaMaInpainter(weights, device="cpu") as inpainter:
            assert inpainter.architecture == "lama"


def test_degradations_of_the_engine_are_reported_with_the_picture(picture: np.ndarray, mask: np.ndarray) -> None:
    task = read(png(picture[..., :3]), png(mask), limits=Limits(max_bytes=10**7, max_pixels=10**6))
    with LaMaInpainter(device="cpu") as inpainter:
        inpainter.engine.close()
        inpainter.engine = Engine(Overflowing(always=False), CPU, "bf16", max_batch=1)
        notes: list[str] = []
        inpainter.run(task, lambda _: None, notes.append)
    assert notes == ["fp32"]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Spectral(Probe):
    """A probe that also reads the matrices of a transform, and shows in the hole what lies 16 px above and left."""

    def __deepcopy__(self, memo: object) -> Spectral:
        return Spectral(self.on_batch)

    def forward(self, x: Tensor, window: Box, strength: Tensor | None = None) -> Tensor:
        self.on_batch(x, self.gain.dtype)
        transform = DftTransform()
        return transform.inverse(transform.forward(x[:, :3]), x.shape[-1]).roll((16, 16), (2, 3))[..., *window.slices]


def test_mixed_shapes_on_a_full_device_never_reach_the_cpu() -> None:
    """Captured passes of other shapes give back their memory before a batch is halved."""
    sides = sorted(64 + 16 * (n % 8) for n in range(64))
    with cuda_on_cpu(room=24_000_000) as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        with Engine(Spectral(), CPU, "fp32", max_batch=8, max_delay_ms=60_000, graphs=graphs) as running:
            results = [future.result() for future in [running.submit(tile(100, side)) for side in sides]]
    notes = {note for result in results for note in result.notes}
    assert card.refused > 0
    assert notes == {"smaller_batch"}
    assert [int(result.values[12, 12, 0]) for result in results] == [100] * 64


def test_passes_are_captured_ahead_while_no_tile_waits_and_tiles_find_them() -> None:
    passes = threading.Semaphore(0)
    asked, window = tile(100, 192), tile(100, 192).window
    with cuda_on_cpu() as card:
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        network = Spectral(lambda _, __: passes.release())
        with Engine(network, CPU, "fp32", max_batch=4, max_delay_ms=60_000, graphs=graphs) as running:
            for _ in range(2):
                running.warm(192, 192, window)
            # Three passes before each capture, and the capture itself: of 4 tiles, of 2 and of 1.
            for _ in range(3 * 4):
                assert passes.acquire(timeout=60)
            results = [future.result() for future in [running.submit(asked) for _ in range(4)]]
            assert card.captures == 3
            # Only the window's grid was drawn and copied back.
            assert all(result.values[12, 12].any() and not result.values[100, 100].any() for result in results)


def test_the_plan_of_a_picture_is_captured_ahead(picture: np.ndarray, mask: np.ndarray) -> None:
    task = read(png(picture[..., :3]), png(mask), limits=Limits(max_bytes=10**7, max_pixels=10**6))
    passes = threading.Semaphore(0)
    with cuda_on_cpu() as card, LaMaInpainter(device="cpu", threads=1) as inpainter:
        inpainter.engine.close()
        network = Spectral(lambda _, __: passes.release())
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        inpainter.engine = Engine(network, CPU, "fp32", max_batch=1, graphs=graphs)
        inpainter.warm(task)
        for _ in range(4):
            assert passes.acquire(timeout=60)
        inpainter.run(task, lambda _: None)
        assert card.captures == task.plan.tiles_total == 1


def test_a_pass_that_has_no_room_ahead_harms_nobody() -> None:
    entered = threading.Event()

    def no_room_for_many(x: Tensor, _: torch.dtype) -> None:
        entered.set()
        if len(x) > 1:
            raise torch.OutOfMemoryError("no room")

    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)
        with Engine(Spectral(no_room_for_many), CPU, "fp32", max_batch=2, graphs=graphs) as running:
            running.warm(64, 64, tile().window)
            assert entered.wait(60)
            assert running.submit(tile(100)).result().notes == ()


def test_a_device_that_captures_nothing_takes_no_notice_of_what_comes() -> None:
    shapes: list[int] = []
    with engine(lambda x, _: shapes.append(len(x)), max_batch=1) as running:
        running.warm(64, 64, tile().window)
        running.submit(tile()).result()
    assert shapes == [1]


def test_two_engines_share_a_device_while_one_captures() -> None:
    with cuda_on_cpu():
        graphs = DeviceGraphs(CPU, pool_bytes=1 << 40)

        def work(first: int) -> list[int]:
            with Engine(Spectral(), CPU, "fp32", graphs=graphs) as running:
                asked = [running.submit(tile(first, 64 + 16 * n)) for n in range(8)]
                return [int(future.result().values[12, 12, 0]) for future in asked]

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(work, [50, 100, 150, 200]))
    assert answers == [[value] * 8 for value in (50, 100, 150, 200)]


def test_a_device_that_pytorch_cannot_use_is_refused_and_not_replaced() -> None:
    with pytest.raises(DeviceUnusable, match="cleanplate doctor"):
        LaMaInpainter(device="cuda:99")


@pytest.mark.parametrize(("limit", "most"), [("1", 1), ("0", None), ("many", None)])
def test_a_limit_on_threads_is_kept(monkeypatch: pytest.MonkeyPatch, limit: str, most: int | None) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usable = usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert usable_cores() == (most or usable)
