"""Writes the PyTorch checkpoints of this folder; needs torch (made with 1.13 of Debian 12)."""
import collections, json, os, struct, zipfile
import torch

here = os.path.dirname(os.path.abspath(__file__))
path = lambda name: os.path.join(here, name)


class Net(torch.nn.Module):
    """Its state dict carries _metadata, as that of every published model does."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 2)
        self.second = torch.nn.Linear(3, 2, bias=False)
        self.second.weight = self.first.weight  # tied
        self.register_buffer("position_ids", torch.arange(5).expand((1, -1)))


def every_kind():
    torch.manual_seed(1)
    base = torch.randn(4, 5)
    state = Net().state_dict()
    state["f16"] = torch.randn(2, 3, 2).half()
    state["bf16"] = torch.randn(7).bfloat16()
    state["f64"] = torch.randn(3).double()
    state["i64"] = torch.tensor([-(2**40), 0, 2**40])
    state["i32"] = torch.tensor([-70000, 70000], dtype=torch.int32)
    state["i16"] = torch.tensor([-300, 300], dtype=torch.int16)
    state["i8"] = torch.tensor([-3, 3], dtype=torch.int8)
    state["u8"] = torch.tensor([0, 255], dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False, True])
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 4)
    state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    state["whole"] = base
    state["transposed"] = base.t()
    state["rows"] = base[1:3]
    state["columns"] = base[:, 1:4:2]
    state["permuted"] = torch.randn(2, 3, 4).permute(2, 0, 1)
    return state


def many():
    """So many that the memo needs places of four bytes."""
    numbers = torch.arange(300, dtype=torch.int16)
    return {"layer.%d.weight" % i: numbers[i : i + 1] for i in range(300)}


def write_safetensors(name, state):
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
             torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
    header, data = {}, b""
    for key, t in state.items():
        t = t.detach().clone(memory_format=torch.contiguous_format)
        raw = t.view(torch.int16) if t.dtype == torch.bfloat16 else t
        raw = raw.numpy().tobytes()
        header[key] = {"dtype": names[t.dtype], "shape": list(t.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path(name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/evil-pickle-was-run",))


state = every_kind()
torch.save(state, path("zip.bin"))
torch.save(state, path("plain.bin"), _use_new_zipfile_serialization=False)
write_safetensors("expected.safetensors", state)
torch.save(many(), path("many-plain.bin"), _use_new_zipfile_serialization=False)
torch.save({"a": Evil()}, path("evil-zip.bin"))
torch.save({"a": Evil()}, path("evil-plain.bin"), _use_new_zipfile_serialization=False)
torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, path("nested.bin"))
torch.save({"a": torch.zeros(1)}, path("protocol4.bin"), pickle_protocol=4)
with zipfile.ZipFile(path("zip.bin")) as old, zipfile.ZipFile(
        path("compressed.bin"), "w", zipfile.ZIP_DEFLATED) as new:
    for entry in old.namelist():
        new.writestr(zipfile.ZipInfo(entry), old.read(entry), zipfile.ZIP_DEFLATED)
