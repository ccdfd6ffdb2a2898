"""Files of other projects: their tensors are read unchanged, and no code in them runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.checkpoints.reading import Checkpoint, read_checkpoint
from model.checkpoints.tensor_pickle import Inert, Name, PickledTensor, read_pickle
from model.errors import WeightsRejected
from model.networks.fourier_unet import FourierUNet
from model.networks.lama import LaMaGenerator
from model.networks.weights import Description, load_network, save_state, save_weights

SMALL = {"ngf": 8, "n_blocks": 1}


class TrainingSettings:
    """Stands for the classes of training frameworks that real checkpoints name."""

    def __init__(self) -> None:
        self.ran = "a settings object"

    def __setstate__(self, state: object) -> None:
        raise AssertionError("code of the checkpoint ran")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, function: Callable[..., None], folder: Path) -> None:
        self.call = function, (folder,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class InpaintingModule(nn.Module):
    """As the training module: the generator among other things."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        predicted: Tensor = self.generator(torch.cat((image * (1 - mask), mask), dim=1))
        return mask * predicted + (1 - mask) * image


class TracedCall(nn.Module):
    """As what ``big-lama.pt`` was traced around."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = self.model(image, mask)
        return result


def small() -> LaMaGenerator:
    torch.manual_seed(0)
    return LaMaGenerator(ngf=8, n_blocks=1).eval()


def read(path: Path) -> Checkpoint:
    return read_checkpoint(path, source="a test", licence="Apache-2.0")


def refusal_of(path: Path) -> WeightsRejected:
    with pytest.raises(WeightsRejected) as refusal:
        read(path)
    assert str(path) in str(refusal.value)
    return refusal.value


def assert_same(state: dict[str, Tensor], network: nn.Module) -> None:
    expected = network.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


@pytest.fixture
def best_ckpt(tmp_path: Path) -> Path:
    """As a training checkpoint: state_dict with a prefix, beside objects of other projects' classes."""
    module = InpaintingModule(small())
    optimiser = torch.optim.Adam(module.parameters())
    path = tmp_path / "best.ckpt"
    content = {
        "epoch": 3,
        "state_dict": module.state_dict(),
        "hyper_parameters": TrainingSettings(),
        "callbacks": {TrainingSettings: {"best": Path("a/b"), "scores": np.float64(0.5)}},
        "optimizer_states": [optimiser.state_dict()],
        "seen": {1, 2},
        "frozen": frozenset({"a"}),
        "counts": defaultdict(int, a=1),
    }
    torch.save(content, path)
    return path


def test_a_training_checkpoint_gives_its_generator(best_ckpt: Path) -> None:
    checkpoint = read(best_ckpt)
    assert_same(checkpoint.state, small())
    assert checkpoint.description == Description("lama", SMALL, source="a test", licence="Apache-2.0")


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_traced_module_gives_its_generator(tmp_path: Path) -> None:
    path = tmp_path / "big-lama.pt"
    example = (torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    traced = torch.jit.trace(TracedCall(InpaintingModule(small())), example)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, path)
    assert_same(read(path).state, small())


@pytest.mark.parametrize("network", [small(), FourierUNet(channels=(8, 8, 8, 8, 8))], ids=["lama", "fourier-unet"])
def test_bare_state_dicts_give_their_network(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "bare.pth")
    torch.save({"model": OrderedDict(network.state_dict())}, tmp_path / "below-a-word.pt")
    parameters = {f"module.{name}": nn.Parameter(value.clone()) for name, value in network.named_parameters()}
    torch.save(
        parameters | {f"module.{name}": value for name, value in network.named_buffers()}, tmp_path / "parallel.pt"
    )
    save_file({f"generator.{k}": v for k, v in network.state_dict().items()}, tmp_path / "foreign.safetensors")
    for path in tmp_path.iterdir():
        assert_same(read(path).state, network)


def test_a_file_of_this_project_keeps_what_it_says_of_itself(tmp_path: Path) -> None:
    description = Description("lama", SMALL, source="here", licence="CC0-1.0")
    save_weights(small(), description, tmp_path / "w", dtype=torch.float16)
    assert read(tmp_path / "w").description == description


def test_a_conversion_loads_with_the_same_result(best_ckpt: Path, tmp_path: Path) -> None:
    checkpoint = read(best_ckpt)
    save_state(checkpoint.state, checkpoint.description, tmp_path / "w", dtype=torch.float32)
    network, description = load_network(tmp_path / "w")
    assert (description.source, description.licence) == ("a test", "Apache-2.0")
    x = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(x), small()(x))


def test_tensors_are_views_of_the_mapped_file_and_other_precisions_become_fp32(tmp_path: Path) -> None:
    state = {
        name: value.double() if value.is_floating_point() else value for name, value in small().state_dict().items()
    }
    torch.save(state, tmp_path / "double.pt")
    assert_same(read(tmp_path / "double.pt").state, small())
    transposed = small().state_dict()
    weight = transposed["model.17.weight"]
    transposed["model.17.weight"] = weight.transpose(2, 3).contiguous().transpose(2, 3)
    torch.save(transposed, tmp_path / "strided.pt")
    assert_same(read(tmp_path / "strided.pt").state, small())


def test_missing_counters_are_fine(tmp_path: Path) -> None:
    state = {name: value for name, value in small().state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "w.pt")
    assert read(tmp_path / "w.pt").state.keys() == state.keys()


@pytest.mark.parametrize("function", [os.mkdir, Path.mkdir], ids=["by its name", "as an attribute of a class"])
def test_code_in_a_checkpoint_does_not_run(function: Callable[..., None], tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    path = tmp_path / "evil.ckpt"
    torch.save({"hyper_parameters": Bomb(function, proof), "state_dict": small().state_dict()}, path)
    torch.load(path, weights_only=False)
    assert proof.exists()  # an ordinary unpickler runs it
    proof.rmdir()
    assert_same(read(path).state, small())
    assert not proof.exists()


def test_calls_classes_and_their_states_stay_names() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        made = read_pickle(
            pickle.dumps({"a": TrainingSettings(), "n": [1, -2.5, None, True, "é", b"x" * 300]}, protocol)
        )
        assert isinstance(made, dict)
        assert isinstance(made["a"], Inert)
        if protocol >= 1:  # protocol 0 writes bytes as a call
            assert made["n"][:5] == [1, -2.5, None, True, "é"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80\x02", b".", b"N", b"\x80\x02}", b"cos\nsystem\n(S'true'\ntR", b"(((((.", b"h\x05.", b"t.", b"R.",
        b"}q\x00(h\x00h\x00u", b"\x82\x01.", b"Pstorage\n.", b"(lQ.", b"NNR.", b"NNN\x93.", b"\x80\x02]b.",
    ],
)  # fmt: skip
def test_broken_and_foreign_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_pickle(data)


def test_keys_that_are_costly_to_compare_are_not_compared() -> None:
    deep = b"(" + b")" + b"\x85" * 1_000_000  # a tuple in a tuple, a million times
    assert read_pickle(b"\x80\x02}" + deep + b"K\x01u.") == {}


#: A tuple that holds one tuple twice, sixty levels deep: its hash takes 2 ** 60 steps.
EXPONENTIAL = b"K\x00" + b"".join(b"q" + bytes((level,)) + b"h" + bytes((level,)) + b"\x86" for level in range(60))


@pytest.mark.parametrize(
    ("data", "made"),
    [(b"}" + EXPONENTIAL + b"K\x01s.", "{}"), (b"(" + EXPONENTIAL + b"\x91.", "Inert"),
     (b"\x8f(" + EXPONENTIAL + b"\x90.", "Inert"), (b"(" + EXPONENTIAL + b"K\x01d.", "{}")],
    ids=["key", "frozen set", "set", "dictionary"],
)  # fmt: skip
def test_hashes_that_never_end_are_not_taken(data: bytes, made: str) -> None:
    result = read_pickle(b"\x80\x04" + data)
    assert (type(result).__name__ if isinstance(result, Inert) else repr(result)) == made


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 45) + b"abc.",  # BYTEARRAY8 allocates before it reads
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc.",  # BINBYTES8
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",  # BINUNICODE8
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",  # LONG4
        b"\x80\x02\x8b" + struct.pack("<i", -1) + b"abc.",
        b"\x80\x02\x82\x01.", b"\x80\x02\x83\x01\x00.", b"\x80\x02\x84\x01\x00\x00\x00.",  # EXT1, 2, 4
        b"\x80\x05\x97.",  # NEXT_BUFFER
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02X\x04\x00\x00\x00True)R.",  # a text is called
        b"\x80\x02]N\x85R.",  # a list is called
        b"\x80\x02}q\x00h\x01.",
    ],
)  # fmt: skip
def test_pickles_that_ask_for_memory_registries_or_other_calls_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_pickle(data)


def test_numbers_of_the_memo_and_lengths_of_frames_cost_nothing() -> None:
    assert read_pickle(b"\x80\x02]r\xff\xff\xff\xff0j\xff\xff\xff\xff.") == []
    assert read_pickle(b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"].") == []


class Call:
    """Pickled as a call of ``function`` with ``arguments``; ``state``: what is set on its result."""

    def __init__(self, function: Callable[..., object], *arguments: object, state: object = None) -> None:
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        call = self.function, self.arguments
        return call if self.state is None else (*call, self.state)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_call_of_a_hostile_pickle_is_made(protocol: int, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    command = f"mkdir {proof}"
    hostile: list[object] = [
        Call(os.system, command),
        Call(eval, f"__import__('os').mkdir({str(proof)!r})"),
        Call(getattr, Call(__import__, "os"), "mkdir"),
        Call(map, os.system, [command]),
        Call(list, Call(map, os.system, [command])),
        Call(OrderedDict, [(1, Call(os.system, command))]),
        Call(torch._utils._rebuild_parameter, Call(os.system, command), False, OrderedDict()),
    ]
    for content in hostile:
        data = pickle.dumps({"a": content}, protocol)
        made = read_pickle(data)
        assert isinstance(made, dict)
        assert isinstance(made["a"], Inert | dict)
        assert not proof.exists()


@pytest.mark.parametrize("opcode", ["INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "REDUCE of REDUCE"])
def test_no_instruction_that_makes_an_object_makes_one(opcode: str, tmp_path: Path) -> None:
    path = str(tmp_path / "proof").encode()
    text = b"X" + struct.pack("<I", len(path)) + path
    programs = {
        "INST": b"(" + text + b"ios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\n" + text + b"o.",
        "NEWOBJ": b"\x80\x02cos\nmkdir\n" + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04cos\nmkdir\n" + text + b"\x85}\x92.",
        "REDUCE": b"cos\nmkdir\n" + text + b"\x85R.",
        "REDUCE of REDUCE": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'mkdir'\ntR(" + text + b"tR.",
    }
    made = read_pickle(programs[opcode])
    assert isinstance(made, Inert) and made.dotted in ("os.mkdir", "builtins.getattr")
    assert not Path(path.decode()).exists()


@pytest.mark.parametrize("state", [b"}X\x05\x00\x00\x00shapeK\x09s", b"N}X\x05\x00\x00\x00shapeK\x09s\x86"])
def test_states_are_set_on_stand_ins_alone(state: bytes) -> None:
    pickled = pickled_tensor(4, 0, (2, 2), (2, 1))
    rebuilt = pickled.rindex(b"R") + 1
    made = read_pickle(pickled[:rebuilt] + state + b"b" + pickled[rebuilt:])
    assert isinstance(made, dict) and isinstance(made["a"], PickledTensor) and made["a"].shape == (2, 2)
    assert read_pickle(b"\x80\x02cos\nmkdir\n" + state + b"b.") == Name("os.mkdir")
    assert read_pickle(b"\x80\x02cos\nmkdir\n)R" + state + b"b.").state is not None  # type: ignore[attr-defined]


def test_one_module_named_many_times_ends(tmp_path: Path) -> None:
    nested: object = {"weight": 1}
    for _ in range(40):
        nested = {"left": nested, "right": nested}
    torch.save(nested, tmp_path / "wide.pt")
    assert "beyond measure" in str(refusal_of(tmp_path / "wide.pt"))
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    torch.save(cyclic, tmp_path / "cyclic.pt")
    assert "beyond measure" in str(refusal_of(tmp_path / "cyclic.pt"))


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, best_ckpt: Path) -> None:
    assert refusal_of(tmp_path / "absent").code == "weights_unreadable"
    assert refusal_of(tmp_path).code == "weights_unreadable"
    files = {
        "empty": b"",
        "text": b"not weights",
        "legacy": pickle.dumps({"state_dict": {}}, 2),
        "half": best_ckpt.read_bytes()[: best_ckpt.stat().st_size // 2],
        "tail missing": best_ckpt.read_bytes()[:-100],
        "start only": b"PK\x03\x04",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert refusal_of(tmp_path / name).code == "weights_unreadable", name
    assert "before version 1.6" in str(refusal_of(tmp_path / "legacy"))


def test_other_networks_and_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 3, 3).state_dict(), tmp_path / "other.pt")
    assert refusal_of(tmp_path / "other.pt").code == "weights_mismatch"
    torch.save({"a": small().state_dict(), "b": small().state_dict()}, tmp_path / "two.pt")
    refused = refusal_of(tmp_path / "two.pt")
    assert refused.code == "weights_mismatch"
    assert "several networks (a, b)" in str(refused)
    state = small().state_dict()
    state["model.5.conv1.bn_l.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "wrong.pt")
    assert "model.5.conv1.bn_l.bias has shape [3]" in str(refusal_of(tmp_path / "wrong.pt"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    state = small().state_dict()
    state["model.2.bn_l.weight"][0] = value
    torch.save(state, tmp_path / "w.pt")
    refused = refusal_of(tmp_path / "w.pt")
    assert (refused.code, "model.2.bn_l.weight" in str(refused)) == ("weights_mismatch", True)


def test_tensors_that_share_their_numbers_are_refused(tmp_path: Path) -> None:
    state = small().state_dict()
    state["model.2.bn_l.weight"] = state["model.2.bn_l.bias"]
    torch.save(state, tmp_path / "w.pt")
    assert "one and the same" in str(refusal_of(tmp_path / "w.pt"))


def rewritten(source: Path, target: Path, change: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with some entries replaced; the entries end in these words."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            word = entry.filename.partition("/")[2]
            new.writestr(entry.filename, change.get(word, old.read(entry)))
    return target


def test_archives_that_lie_about_sizes_are_refused(tmp_path: Path) -> None:
    honest = tmp_path / "honest.pt"
    torch.save(small().state_dict(), honest)
    assert_same(read(rewritten(honest, tmp_path / "again.pt", {})).state, small())

    packed = refusal_of(rewritten(honest, tmp_path / "packed.pt", {}, zipfile.ZIP_DEFLATED))
    assert "compressed" in str(packed) or "more than the file has" in str(packed)
    bomb = rewritten(honest, tmp_path / "bomb.pt", {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    assert "more than the file has" in str(refusal_of(bomb))
    assert "has not the size" in str(refusal_of(rewritten(honest, tmp_path / "short.pt", {"data/0": b"1234"})))
    assert "big-endian" in str(refusal_of(rewritten(honest, tmp_path / "big.pt", {"byteorder": b"big"})))

    raw = bytearray(honest.read_bytes())
    entry = raw.rindex(b"archive/data/0") if b"archive/data/0" in raw else raw.rindex(b"honest/data/0")
    struct.pack_into("<II", raw, entry - 26, 2**31, 2**31)  # sizes in the central directory
    (tmp_path / "claims.pt").write_bytes(raw)
    assert "more than the file has" in str(refusal_of(tmp_path / "claims.pt"))


def pickled_tensor(numel: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", numel) if obj == "the storage" else None

    class Rebuilt:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, ("the storage", offset, shape, stride, False, OrderedDict())

    file = io.BytesIO()
    Pickler(file, 2).dump({"a": Rebuilt()})
    return file.getvalue()


@pytest.mark.parametrize(
    ("numel", "offset", "shape", "stride"),
    [(4, 0, (5,), (1,)), (4, 3, (2,), (1,)), (4, 0, (10**9,), (0,)), (4, 0, (2, 2), (4, 1)), (4, -1, (1,), (1,)),
     (4, 0, (-1,), (1,)), (4, 0, (2,), (-1,)), (4, 0, (2, 2), (1,)), (-1, 0, (0,), (1,)), (4, 0, (1,) * 9, (1,) * 9)],
)  # fmt: skip
def test_tensors_that_reach_beyond_their_storage_are_refused(
    numel: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    assert read_pickle(pickled_tensor(4, 0, (2, 2), (2, 1)))
    with pytest.raises(ValueError, match=r"storage|shape|zip"):
        read_pickle(pickled_tensor(numel, offset, shape, stride))
