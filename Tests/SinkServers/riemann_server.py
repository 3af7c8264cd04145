#!/usr/bin/env python3
"""A stand-in Riemann server: accepts TCP messages, prints each event as a JSON line, answers queries with all events.

Reads with the messages of riemann-client, which is not ours. usage: riemann_server.py [PORT]   (loopback only)
"""
import json
import socketserver
import struct
import sys

from riemann_client import riemann_pb2 as pb

EVENTS = []


class Handler(socketserver.BaseRequestHandler):
    def read(self, n):
        data = b""
        while len(data) < n:
            chunk = self.request.recv(n - len(data))
            if not chunk:
                return None
            data += chunk
        return data

    def handle(self):
        while header := self.read(4):
            message = pb.Msg()
            message.ParseFromString(self.read(struct.unpack(">I", header)[0]))
            EVENTS.extend(message.events)
            for e in message.events:
                print(json.dumps({
                    "host": e.host, "service": e.service, "state": e.state, "time": e.time, "ttl": e.ttl,
                    "metric_d": e.metric_d, "metric_f": e.metric_f, "metric_sint64": e.metric_sint64,
                    "tags": list(e.tags), "attributes": {a.key: a.value for a in e.attributes}}), flush=True)
            reply = pb.Msg(ok=True)
            if message.HasField("query"):
                reply.events.extend(EVENTS)
            out = reply.SerializeToString()
            self.request.sendall(struct.pack(">I", len(out)) + out)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 5555), Handler).serve_forever()
