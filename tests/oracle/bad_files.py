"""Makes fixtures/bad: model files that are wrong in one way each, named after it. Run from the top folder.

    python3 tests/oracle/bad_files.py

Needs nothing but Python. tests/test_gguf.c and tests/test_safetensors.c require that each is refused."""
import json
import os
import struct


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def tensor(name, dims, kind, offset, n_dims=None):
    return (text(name) + u32(len(dims) if n_dims is None else n_dims) + b"".join(u64(d) for d in dims) + u32(kind) +
            u64(offset))


def gguf(keys=(), tensors=(), data=b"", magic=b"GGUF", version=3, n_tensors=None, n_keys=None, alignment=32):
    head = magic + u32(version) + u64(len(tensors) if n_tensors is None else n_tensors)
    head += u64(len(keys) if n_keys is None else n_keys) + b"".join(keys) + b"".join(tensors)
    if data:
        head += b"\0" * (-len(head) % alignment)
    return head + data


GOOD_KEY = key("general.architecture", 8, text("llama"))
ONE = tensor("one", [8], 0, 0)
DATA = b"\0" * 32

GGUF = {
    "empty": b"",
    "magic_wrong": gguf(magic=b"GGML"),
    "magic_cut": b"GGU",
    "version_1": gguf(version=1),
    "version_4": gguf(version=4),
    "version_big_endian": gguf(version=0x03000000),
    "header_cut": gguf()[:20],
    "key_count_huge": gguf([GOOD_KEY], n_keys=1 << 60),
    "key_count_one_too_many": gguf([GOOD_KEY], n_keys=2),
    "tensor_count_huge": gguf([GOOD_KEY], n_tensors=1 << 62),
    "tensor_count_one_too_many": gguf([GOOD_KEY], [ONE], DATA, n_tensors=2),
    "key_name_length_huge": gguf([u64(1 << 63) + b"k" + u32(4) + u32(1)]),
    "key_name_empty": gguf([key("", 4, u32(1))]),
    "key_name_with_nul": gguf([key(b"a\0b", 4, u32(1))]),
    "key_twice": gguf([GOOD_KEY, GOOD_KEY]),
    "key_type_unknown": gguf([key("k", 13, u32(1))]),
    "key_value_missing": gguf([key("key.at.the.end", 10, b"")]),
    "string_length_overflow": gguf([key("k", 8, u64((1 << 64) - 1) + b"abc")]),
    "bool_two": gguf([key("k", 7, b"\2")]),
    "array_count_overflow": gguf([key("k", 9, u32(10) + u64(1 << 61) + b"\0" * 64)]),
    "array_of_arrays": gguf([key("k", 9, u32(9) + u64(1) + u32(4) + u64(0))]),
    "array_of_strings_count_huge": gguf([key("k", 9, u32(8) + u64(1 << 40) + text("x"))]),
    "array_element_type_unknown": gguf([key("k", 9, u32(77) + u64(0))]),
    "alignment_zero": gguf([key("general.alignment", 4, u32(0))]),
    "alignment_not_a_power_of_two": gguf([key("general.alignment", 4, u32(24))]),
    "alignment_huge": gguf([key("general.alignment", 4, u32(1 << 31))]),
    "alignment_is_text": gguf([key("general.alignment", 8, text("32"))]),
    "split_without_fellows": gguf([key("split.no", 2, b"\0\0"), key("split.count", 2, b"\2\0")]),
    "split_is_second_part": gguf([key("split.no", 2, b"\1\0"), key("split.count", 2, b"\2\0")]),
    "split_tensor_count_wrong": gguf([key("split.tensors.count", 5, u32(3))]),
    "tensor_name_too_long": gguf([], [tensor("n" * 65, [8], 0, 0)], DATA),
    "tensor_twice": gguf([], [ONE, tensor("one", [8], 0, 32)], DATA * 2),
    "tensor_dims_zero": gguf([], [tensor("one", [], 0, 0)], DATA),
    "tensor_dims_five": gguf([], [tensor("one", [8, 1, 1, 1, 1], 0, 0)], DATA),
    "tensor_dimension_zero": gguf([], [tensor("one", [8, 0], 0, 0)], DATA),
    "tensor_shape_overflow": gguf([], [tensor("one", [1 << 32, 1 << 32], 0, 0)], DATA),
    "tensor_bytes_overflow": gguf([], [tensor("one", [1 << 62], 0, 0)], DATA),
    "tensor_type_unknown": gguf([], [tensor("one", [8], 200, 0)], DATA),
    "tensor_type_iq2": gguf([], [tensor("one", [256], 16, 0)], b"\0" * 66),
    "tensor_type_removed": gguf([], [tensor("one", [32], 4, 0)], DATA),
    "tensor_row_not_whole_blocks": gguf([], [tensor("one", [33], 8, 0)], b"\0" * 68),
    "tensor_offset_unaligned": gguf([], [tensor("one", [4], 0, 4)], DATA),
    "tensor_offset_overflow": gguf([], [tensor("one", [8], 0, (1 << 64) - 32)], DATA),
    "tensor_offset_overlap": gguf([], [ONE, tensor("two", [8], 0, 0)], DATA),
    "tensor_offset_gap": gguf([], [ONE, tensor("two", [8], 0, 64)], DATA * 3),
    "tensor_data_cut": gguf([], [ONE], DATA[:31]),
    "tensor_data_missing": gguf([], [ONE]),
}


def safetensors(header, data=b"", length=None):
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(body) if length is None else length) + body + data


def st(dtype="F32", shape=(2, 2), begin=0, end=16):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


D16 = b"\0" * 16

SAFETENSORS = {
    "empty": b"",
    "header_length_cut": b"\2\0\0\0",
    "header_length_zero": safetensors(b"", length=0),
    "header_length_beyond_file": safetensors({"a": st()}, D16, length=1000),
    "header_length_huge": safetensors({"a": st()}, D16, length=(1 << 64) - 1),
    "header_not_json": safetensors(b"{\"a\": ", D16),
    "header_not_an_object": safetensors(b"[1, 2]"),
    "header_trailing_bytes": safetensors(b"{} x"),
    "tensor_not_an_object": safetensors({"a": 3}, D16),
    "dtype_missing": safetensors({"a": {"shape": [4], "data_offsets": [0, 16]}}, D16),
    "dtype_unknown": safetensors({"a": st("F4")}, D16),
    "dtype_not_text": safetensors({"a": st(32)}, D16),
    "shape_missing": safetensors({"a": {"dtype": "F32", "data_offsets": [0, 16]}}, D16),
    "shape_negative": safetensors({"a": st(shape=(-2, -2))}, D16),
    "shape_fraction": safetensors({"a": st(shape=(1.5, 2))}, D16),
    "shape_overflow": safetensors({"a": st(shape=(1 << 40, 1 << 40))}, D16),
    "shape_too_many": safetensors({"a": st(shape=(1,) * 9)}, b"\0" * 4),
    "shape_not_the_bytes": safetensors({"a": st(shape=(2, 3))}, D16),
    "offsets_missing": safetensors({"a": {"dtype": "F32", "shape": [4]}}, D16),
    "offsets_three": safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8, 16]}}, D16),
    "offsets_reversed": safetensors({"a": st(begin=16, end=0)}, D16),
    "offsets_beyond_file": safetensors({"a": st(begin=16, end=32)}, D16),
    "offsets_huge": safetensors({"a": st(begin=1 << 62, end=(1 << 62) + 16)}, D16),
    "offsets_overlap": safetensors({"a": st(), "b": st(begin=8, end=24)}, b"\0" * 24),
    "offsets_same": safetensors({"a": st(), "b": st()}, D16),
    "offsets_gap": safetensors({"a": st(), "b": st(begin=24, end=40)}, b"\0" * 40),
    "data_cut": safetensors({"a": st()}, D16[:15]),
    "data_left_over": safetensors({"a": st()}, D16 + b"\0"),
    "name_twice": safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
                              b'"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}', D16 * 2),
}

for folder, files, ending in (("gguf", GGUF, "gguf"), ("safetensors", SAFETENSORS, "safetensors")):
    os.makedirs(f"fixtures/bad/{folder}", exist_ok=True)
    for name, data in files.items():
        with open(f"fixtures/bad/{folder}/{name}.{ending}", "wb") as file:
            file.write(data)

# What fuzzing starts from: whole files that use every kind of value.
NUMBERS = [key(f"k{kind}", kind, b"\1" + b"\0" * (size - 1))
           for kind, size in enumerate((1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)) if size]
SEEDS = {
    "gguf/keys.gguf": gguf(NUMBERS + [GOOD_KEY, key("tokens", 9, u32(8) + u64(3) + text("a") + text("") + text("bc")),
                                      key("scores", 9, u32(6) + u64(2) + b"\0" * 8)]),
    "gguf/tensors.gguf": gguf([key("general.alignment", 4, u32(64))],
                              [tensor("one", [32, 2], 8, 0), tensor("two", [3, 2, 2], 1, 128)], b"\0" * 152,
                              alignment=64),
    "safetensors/two.safetensors": safetensors({"__metadata__": {"format": "pt"}, "a": st(),
                                                "b": st("BF16", (2, 4), 16, 32)}, D16 * 2),
    "safetensors/none.safetensors": safetensors({}),
}
for name, data in SEEDS.items():
    os.makedirs(os.path.dirname(f"fixtures/fuzz/{name}"), exist_ok=True)
    with open(f"fixtures/fuzz/{name}", "wb") as file:
        file.write(data)
