"""Calls of someone who should not be there: gRPC by hand, since no client of ours would do it.

A call is the bytes of HTTP/2 (RFC 9113) with headers in the plainest form of HPACK (RFC 7541). All
that counts is whether a server answers with HTTP/2 at all.
"""

import contextlib
import pathlib
import re
import socket
import ssl
import struct

PATIENCE_S = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACKNOWLEDGE = 1, 4, 1
TLS_ALERT = 0x15


def methods(proto_folder):
    """Every method of every service, as gRPC calls them: those of *.proto and the health check."""
    found = []
    for path in sorted(pathlib.Path(proto_folder).glob("*.proto")):
        text = re.sub(r"//.*", "", path.read_text())
        package = re.search(r"^package\s+([\w.]+);", text, re.MULTILINE)[1]
        for service, body in re.findall(r"^service\s+(\w+)\s*\{(.*?)^\}", text,
                                        re.MULTILINE | re.DOTALL):
            found += [f"/{package}.{service}/{method}"
                      for method in re.findall(r"\brpc\s+(\w+)", body)]
    return found + ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"]


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def literal(text):
    return bytes([len(text)]) + text.encode()  # Below 127 bytes.


def call(path, stream, host):
    """One call with an empty message."""
    headers = (b"\x83\x87"  # :method POST, :scheme https
               + b"\x04" + literal(path) + b"\x01" + literal(host)  # :path, :authority
               + b"\x00" + literal("te") + literal("trailers")
               + b"\x0f\x10" + literal("application/grpc"))  # content-type
    return (frame(HEADERS, END_HEADERS, stream, headers)
            + frame(DATA, END_STREAM, stream, bytes(5)))


def tls_context(authority, certificate=None, key=None):
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


@contextlib.contextmanager
def connection(address, context):
    """To HOST:PORT, with TLS unless the context is None."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE_S) as plain:
        if context is None:
            yield plain
            return
        with context.wrap_socket(plain, server_hostname=host) as secure:
            yield secure


def answered(address, path, context):
    """Whether one call brought anything but a refusal to talk."""
    try:
        with connection(address, context) as peer:
            peer.sendall(PREFACE + frame(SETTINGS, 0, 0) + call(path, 1, address))
            came = peer.recv(1)
    except (ssl.SSLError, ConnectionError, TimeoutError):
        return False
    return bool(came) and came[0] != TLS_ALERT


def streams_answered(address, paths, context):
    """How many of these calls, all on one connection, got the headers of an answer."""
    waiting = {2 * i + 1: path for i, path in enumerate(paths)}
    asked = len(waiting)
    with connection(address, context) as peer, peer.makefile("rb") as reader:
        peer.sendall(PREFACE + frame(SETTINGS, 0, 0))
        for stream, path in waiting.copy().items():
            peer.sendall(call(path, stream, address))
        with contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError):
            while waiting and len(head := reader.read(9)) == 9:
                size, (kind, flags, stream) = int.from_bytes(head[:3], "big"), struct.unpack(
                    ">BBI", head[3:])
                reader.read(size)
                if kind == HEADERS:
                    waiting.pop(stream, None)
                elif kind == SETTINGS and not flags & ACKNOWLEDGE:
                    peer.sendall(frame(SETTINGS, ACKNOWLEDGE, 0))
    return asked - len(waiting)
