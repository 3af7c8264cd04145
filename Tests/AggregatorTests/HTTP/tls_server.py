#!/usr/bin/env python3
"""A server over the system's OpenSSL, and a CONNECT proxy, for tests of the client: tls_server.py CERT KEY
[--client-ca FILE] [--tls-max 1.1]. Says `port N proxy N`, ends when its standard input does."""
import argparse
import gzip
import socket
import ssl
import sys
import threading
import time

options = argparse.ArgumentParser()
options.add_argument("certificate")
options.add_argument("key")
options.add_argument("--client-ca")
options.add_argument("--tls-max")
options = options.parse_args()

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(options.certificate, options.key)
if options.client_ca:
    context.load_verify_locations(options.client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
if options.tls_max == "1.1":
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1

TEXT = b"".join(b"line %d of a long text\n" % number for number in range(20_000))


def chunks(data, size):
    return b"".join(b"%x\r\n%s\r\n" % (len(data[i:i + size]), data[i:i + size])
                    for i in range(0, len(data), size)) + b"0\r\n\r\n"


def whole(body, *fields):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def answer(stream, path):
    """Whether the connection goes on."""
    if path == "/plain":
        stream.sendall(whole(b"plain"))
    elif path == "/long":
        stream.sendall(whole(TEXT))
    elif path == "/chunked":
        stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(TEXT, 4_999))
    elif path == "/gzip":
        stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
                       + chunks(gzip.compress(TEXT), 333))
    elif path == "/who":
        subject = dict(pair for part in stream.getpeercert().get("subject", ()) for pair in part)
        stream.sendall(whole(subject.get("commonName", "").encode()))
    elif path == "/silent":
        time.sleep(600)
    elif path == "/stalls":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(600)
    elif path == "/cut":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False
    elif path == "/endless-head":
        stream.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            stream.sendall(b"X-More: " + b"x" * 1_000 + b"\r\n")
    return True


def serve(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = stream.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, data = data.split(b"\r\n\r\n", 1)
                if not answer(stream, head.split()[1].decode()):
                    return
    except (OSError, ssl.SSLError):
        pass  # What a client does to us is for the test to see, on its side.


def tunnel(connection):
    try:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        if b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" not in head:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        far = socket.create_connection((host, int(port)))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for here, there in ((connection, far), (far, connection)):
            threading.Thread(target=pump, args=(here, there), daemon=True).start()
    except (OSError, IndexError):
        connection.close()


def pump(here, there):
    try:
        while True:
            piece = here.recv(65536)
            if not piece:
                there.shutdown(socket.SHUT_WR)
                return
            there.sendall(piece)
    except OSError:
        pass


def listen(handle):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


print(f"port {listen(serve)} proxy {listen(tunnel)}", flush=True)
sys.stdin.read()
