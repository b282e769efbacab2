"""A tiny dataset in the four files of MNIST: noisy copies of ten random pictures."""

import gzip
import random
import struct

PIXELS = 28 * 28
TRAIN, HELD_OUT = 3000, 500  # A batch of 2,048 crosses the end of a pass in every second step.


def picture(rng, pattern):
    """Two fifths of the pattern's pixels, noise in the others."""
    keep = bytes(255 * (byte < 102) for byte in rng.randbytes(PIXELS))
    mask, noise = int.from_bytes(keep, "big"), int.from_bytes(rng.randbytes(PIXELS), "big")
    everything = (1 << (8 * PIXELS)) - 1
    return ((pattern & mask) | (noise & (everything ^ mask))).to_bytes(PIXELS, "big")


def write(folder, seed=1):
    rng = random.Random(seed)
    patterns = [int.from_bytes(rng.randbytes(PIXELS), "big") for _ in range(10)]
    for part, count in (("train", TRAIN), ("t10k", HELD_OUT)):
        labels = bytes(rng.randrange(10) for _ in range(count))
        images = b"".join(picture(rng, patterns[label]) for label in labels)
        # One of the two compressed, for both ways are read.
        with open(folder / f"{part}-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 28, 28) + images)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + labels)
