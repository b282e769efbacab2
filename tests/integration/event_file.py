"""Reads files of scalars for TensorBoard: the record format and four protobuf messages, by hand."""

import struct


def crc32c(data):
    """Bit by bit: polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        if length_crc != masked(crc32c(data[at:at + 8])):
            raise ValueError(f"checksum of the length at byte {at}")
        record = data[at + 12:at + 12 + length]
        if len(record) != length:
            raise ValueError(f"record at byte {at} ends early")
        (data_crc,) = struct.unpack_from("<I", data, at + 12 + length)
        if data_crc != masked(crc32c(record)):
            raise ValueError(f"checksum of the record at byte {at}")
        yield record
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message):
    """(number, value) of a protobuf message; bytes stay bytes."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:
            value, at = varint(message, at)
        elif key & 7 == 1:
            (value,), at = struct.unpack_from("<d", message, at), at + 8
        elif key & 7 == 2:
            length, at = varint(message, at)
            value, at = message[at:at + length], at + length
        elif key & 7 == 5:
            (value,), at = struct.unpack_from("<f", message, at), at + 4
        else:
            raise ValueError(f"type {key & 7} of field {key >> 3}")
        yield key >> 3, value


def scalars(data):
    """[(time, step, {tag: value})], after the record that names the version."""
    events = []
    for number, record in enumerate(records(data)):
        event = dict(fields(record))
        if number == 0:
            if event[3] != b"brain.Event:2":
                raise ValueError(f"first record: {event}")
            continue
        values = [dict(fields(value)) for key, value in fields(event[5]) if key == 1]
        events.append((event[1], event.get(2, 0),
                       {value[1].decode(): value[2] for value in values}))
    return events
