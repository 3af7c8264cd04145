#!/usr/bin/env python3
"""Stands in for a service that cannot be had here: takes requests only in the shape that its documents describe, and
answers as they say.

usage: recorder.py PORT SERVICE [NAME=VALUE ...]
Prints a JSON line for each request: `{"request": "POST /path", "status": 200, …}`, and `{"violation": …}` for what the documents
do not allow, which is also answered with 400.
"""
import gzip
import importlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shape import Request, Violation

MODULES = {
    "monitoring": "google_shapes", "bigquery": "google_shapes", "honeycomb": "saas_shapes",
    "librato": "saas_shapes", "hawkular": "saas_shapes", "opensearch": "search_shapes", "influxdb2": "influx2_shapes",
    "opentsdb": "opentsdb_shapes",
    "otlp": "protobuf_shapes", "remotewrite2": "protobuf_shapes"}


def show(row):
    print(json.dumps(row), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service = None

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            status, fields, answer = self.service(request)
            show({"request": f"{self.command} {self.path}", "status": status, **request.facts})
        except Violation as violation:
            show({"violation": str(violation), "request": f"{self.command} {self.path}"})
            status, fields, answer = 400, {}, {"error": {"message": str(violation)}}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = answer

    def log_message(self, *_):
        pass


def main():
    port, service = int(sys.argv[1]), sys.argv[2]
    options = dict(argument.split("=", 1) for argument in sys.argv[3:])
    options["port"] = str(port)
    module = importlib.import_module(MODULES[service])
    Handler.service = staticmethod(module.make(service, options))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


main()
