"""Writes the worked examples of docs/formats.md from its text alone, in hexadecimal.

The unit tests of shard files, manifests, redo logs and token files compare with this output:
    apt-get install python3-xxhash && python3 tests/golden/checkpoint_formats.py
"""

import hashlib
import struct

import xxhash


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4.

JOB, VERSION, APPLIED = 0x0123456789ABCDEF, 7, 6
WEIGHTS = struct.pack("<2f", 1.0, -2.0)


def layout_hash():
    """One tensor "w" of shape [2], initial rule constant 0."""
    text = struct.pack("<I", 1) + b"w" + struct.pack("<I", 1) + struct.pack("<q", 2)
    return xxhash.xxh3_64_intdigest(text + struct.pack("<If", 0, 0.0))


def shard_file():
    file_bytes = 128 + len(WEIGHTS) + 4 + 52
    head = b"DRVRSHRD" + struct.pack(
        "<IIQqqQIIIIQQ", 1, 0x01020304, JOB, VERSION, APPLIED, layout_hash(),
        0, 1, 0, 4 << 20, 2, file_bytes)
    head += b"sgd".ljust(40, b"\0") + bytes(4)
    header_crc = crc32c(head)
    head += struct.pack("<I", header_crc)
    assert len(head) == 128
    segment_crc = crc32c(struct.pack("<IQ", header_crc, 0) + WEIGHTS)
    body = head + WEIGHTS + struct.pack("<I", segment_crc)
    foot = b"DRVR-END" + struct.pack("<Q", file_bytes) + xxhash.xxh3_128_hexdigest(body).encode()
    whole = body + foot + struct.pack("<I", crc32c(foot))
    assert len(whole) == file_bytes
    return whole


def weights_digest():
    head = b"w\0" + struct.pack("<IQ", 1, 2)
    return hashlib.sha256(head + WEIGHTS).hexdigest()


def manifest():
    whole = shard_file()
    text = f"""drover checkpoint 1
job {JOB:016x}
job_name example
version {VERSION}
applied {APPLIED}
epoch 3
rule sgd
slots 0
spec_digest -
numeric_class cpu onednn-2.6.3 avx512_core f32
weights_digest {weights_digest()}
created_unix_ms 1700000000000
tensors 1
tensor w constant 00000000 2
files 1
file shard-0-of-1.bin {len(whole)} {xxhash.xxh3_128_hexdigest(whole)} 0 1
"""
    return text + f"sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"


def redo_log():
    head = b"DRVRREDO" + struct.pack("<IIQQIIq", 2, 0x01020304, JOB, layout_hash(), 0, 1, VERSION)
    head = head.ljust(60, b"\0")
    log = head + struct.pack("<I", crc32c(head))
    gradient = struct.pack("<qqqqqQIIQ", 3 << 20, 5, 8, 0, 2, 1 << 63, 1, 0, 2) + struct.pack("<2f", 0.5, -0.25)
    for index, (kind, payload) in enumerate([(1, gradient), (2, b"commit")]):
        record = b"REDO" + struct.pack("<IqQI", kind, VERSION, len(payload), index)
        log += record + struct.pack("<I", crc32c(record))
        log += payload + struct.pack("<I", crc32c(payload))
    return log


def token_file():
    """Two documents of the sentences {5 6} {7} and {8 1 5}, lower-cased, a vocabulary of 9."""
    body = struct.pack("<3Q4Q6H", 0, 2, 3, 0, 2, 3, 6, 5, 6, 7, 8, 1, 5)
    head = b"DRVRTOKS" + struct.pack(
        "<IIQII5IIQQQ32sQI", 1, 0x01020304, 128 + len(body), 2, 9, 0, 1, 2, 3, 4, 1, 2, 3, 6,
        b"0123456789abcdef" * 2, 0, crc32c(body))
    assert len(head) == 124
    return head + struct.pack("<I", crc32c(head)) + body


def dump(title, data):
    print(f"== {title}: {len(data)} bytes")
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        print(f"{at:04x}  {row.hex(' '):<47}  {text}")
    print(data.hex())


if __name__ == "__main__":
    dump("shard file", shard_file())
    print("xxh3-128", xxhash.xxh3_128_hexdigest(shard_file()))
    print("weights digest", weights_digest())
    print(manifest())
    dump("redo log", redo_log())
    dump("token file", token_file())
