#!/usr/bin/env python3
"""Philox 4x32-10, the Feistel permutation and the sampler of worker/data, written a second time.

Prints the numbers that stand in tests/unit/worker/data/permutation_test.cc and sampler_test.cc.
Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

MASK32 = 0xFFFFFFFF


def philox(seed, stream, index):
    counter = [index & MASK32, index >> 32, stream & MASK32, stream >> 32]
    key = [seed & MASK32, seed >> 32]
    for _ in range(10):
        a = 0xD2511F53 * counter[0]
        b = 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & MASK32,
                   (a >> 32) ^ counter[3] ^ key[1], a & MASK32]
        key = [(key[0] + 0x9E3779B9) & MASK32, (key[1] + 0xBB67AE85) & MASK32]
    return counter


def permute(n, seed, data_pass, position):
    bits = 0
    while 4**bits < n:
        bits += 1
    mask = 2**bits - 1
    value = position
    while True:
        left, right = value >> bits, value & mask
        for rnd in range(8):
            word = philox(seed, (0x50 << 56) + data_pass, (rnd << 32) + right)[0]
            left, right = right, left ^ (word & mask)
        value = (left << bits) | right
        if value < n:
            return value


def sample(seed, size, batch, leaves, step, leaf):
    count = batch // leaves
    first = step * batch + leaf * count
    return [permute(size, seed, p // size, p % size) for p in range(first, first + count)]


def main():
    print("philox", [f"{word:08x}" for word in philox(0, 0, 0)])  # 6627e8d5 e169c58d ...
    print("n=10 seed=1 pass=0", [permute(10, 1, 0, p) for p in range(10)])
    print("n=10 seed=1 pass=1", [permute(10, 1, 1, p) for p in range(10)])
    print("n=60000 seed=42 pass=7", [permute(60000, 42, 7, p) for p in (0, 1, 2, 59998, 59999)])
    big = 2**40 + 12345
    print("n=2^40+12345 seed=2^63+1 pass=2^33",
          [permute(big, 2**63 + 1, 2**33, p) for p in (0, 1, big - 1)])
    print("leaf", sample(seed=9, size=7, batch=12, leaves=3, step=1, leaf=0))
    print("leaf", sample(seed=9, size=7, batch=12, leaves=3, step=1, leaf=2))
    mnist = sample(seed=1, size=60000, batch=32768, leaves=32, step=1, leaf=26)
    print("mnist leaf", mnist[:8], mnist[-4:])


if __name__ == "__main__":
    main()
