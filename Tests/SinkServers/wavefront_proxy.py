#!/usr/bin/env python3
"""A Wavefront proxy that takes only lines of the data format (https://docs.wavefront.com/wavefront_data_format.html).

usage: wavefront_proxy.py PORT      Prints a JSON line for each point, and {"violation": LINE} for anything else.
"""
import json
import re
import socketserver
import sys

VALUE = r'(?:"(?:\\.|[^"\\])*")'
LINE = re.compile(rf'([A-Za-z0-9~._/,-]+) (-?\d+(?:\.\d+)?) (\d{{10}}) source=({VALUE})((?: [A-Za-z0-9._/-]+={VALUE})*)')
TAG = re.compile(rf" ([A-Za-z0-9._/-]+)=({VALUE})")


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            text = line.decode().rstrip("\n")
            match = LINE.fullmatch(text)
            tags = {key: json.loads(value) for key, value in TAG.findall(match[5])} if match else {}
            too_long = [key for key, value in tags.items() if len(key) + len(value) > 254 or not value]
            if not match or too_long or len(match[4]) > 130 or len(tags) > 20:
                print(json.dumps({"violation": text}), flush=True)
                continue
            print(json.dumps({
                "name": match[1], "value": match[2], "time": int(match[3]), "source": json.loads(match[4]), "tags": tags,
                }), flush=True)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
