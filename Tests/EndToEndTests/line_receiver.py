"""A small InfluxDB: takes line protocol, says which timestamps it has. Killed and started again, it goes
on with what it had answered yes to.

usage: line_receiver.py PORT FILE

GET /timestamps?measurement=M&TAG=VALUE...   a JSON list of milliseconds, each once, ascending
GET /stats                                   {"requests":N,"points":N,"repeated":N}
"""
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

port, path = int(sys.argv[1]), sys.argv[2]
lock = Lock()
series = {}
stats = {"requests": 0, "points": 0, "repeated": 0}


def split(text, mark):
    return re.split(r"(?<!\\)" + mark, text)


def take(line):
    head, fields, time = split(line, " ")
    if "=" not in fields:
        raise ValueError(fields)
    measurement, *tags = split(head, ",")
    key = (measurement, tuple(sorted(tuple(tag.split("=", 1)) for tag in tags)))
    times = series.setdefault(key, set())
    stats["points"] += 1
    stats["repeated"] += int(time) in times
    times.add(int(time))


try:
    with open(path) as file:
        text = file.read()
        for known in text[: text.rfind("\n") + 1].splitlines():
            take(known)
except FileNotFoundError:
    pass
kept = open(path, "a")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if not self.path.startswith("/write"):
            return self.answer(200, {"results": [{}]})
        with lock:
            stats["requests"] += 1
            for line in body.splitlines():
                take(line)
            kept.write(body if body.endswith("\n") else body + "\n")
            kept.flush()
        self.answer(204)

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/ping":
            return self.answer(204)
        wanted = dict(parse_qsl(url.query))
        with lock:
            if url.path == "/stats":
                return self.answer(200, stats)
            measurement = wanted.pop("measurement")
            found = set()
            for (name, tags), times in series.items():
                if name == measurement and set(wanted.items()) <= set(tags):
                    found |= times
            self.answer(200, sorted(time // 1_000_000 for time in found))


server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("port", server.server_port, flush=True)
server.serve_forever()
