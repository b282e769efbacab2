#!/usr/bin/env python3
"""One sample of worker/data/text_dataset.h, written a second time from its comments.

Prints the numbers that stand in tests/unit/worker/data/text_dataset_test.cc. Philox: Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

MASK32 = 0xFFFFFFFF
CLS, SEP, MASK = 2, 3, 4
VOCABULARY, SPECIALS = 50, 5
LENGTH, PREDICTIONS = 32, 5

# Three documents: lists of sentences.
TEXT = [
    [[5, 6, 7, 8, 9], [10, 11, 12], [13, 14, 15, 16, 17, 18, 19]],
    [[20, 21, 22, 23], [24, 25, 26, 27, 28, 29]],
    [[30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40]],
]


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


def below(word, n):
    return word * n >> 32


def sample(document, seed, position):
    """Every document is one passage here."""
    words = philox(seed, 0x74657874, 0)
    key = words[0] << 32 | words[1]
    words = philox(key, position, 0)
    sentences = TEXT[document]
    if len(sentences) > 1:
        split = 1 + below(words[0], len(sentences) - 1)
        a = sum(sentences[:split], [])
        b = sum(sentences[split:], [])
    else:
        half = len(sentences[0]) // 2
        a, b = sentences[0][:half], sentences[0][half:]
    is_random = words[1] >> 31
    if is_random:
        others = [(d, s) for d in range(len(TEXT)) if d != document for s in range(len(TEXT[d]))]
        d, s = others[(words[2] << 32 | words[3]) % len(others)]
        b = sum(TEXT[d][s:], [])[: LENGTH - 3 - len(a)]
    tokens = [CLS] + a + [SEP] + b + [SEP]

    places = [i for i, token in enumerate(tokens) if token >= SPECIALS]
    count = min(max(1, (len(places) * 15 + 50) // 100), PREDICTIONS)
    for i in range(count):
        j = i + below(philox(key, position, 1 + i)[0], len(places) - i)
        places[i], places[j] = places[j], places[i]
    positions = sorted(places[:count])
    labels = [tokens[i] for i in positions]
    for i, place in enumerate(positions):
        words = philox(key, position, 1 + i)
        choice = below(words[1], 10)
        if choice < 8:
            tokens[place] = MASK
        elif choice == 8:
            tokens[place] = SPECIALS + below(words[2], VOCABULARY - SPECIALS)
    return tokens, is_random, positions, labels


for reference in ((0, 1, 7), (1, 1, 8), (2, 1, 9), (0, 99, 2**40 + 5)):
    tokens, is_random, positions, labels = sample(*reference)
    print("{{%s}, {%s}, %d, {%s}, {%s}}," % (
        ", ".join(map(str, reference)), ", ".join(map(str, tokens)), is_random,
        ", ".join(map(str, positions)), ", ".join(map(str, labels))))
