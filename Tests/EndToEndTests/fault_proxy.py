"""A TCP proxy that does harm: cuts, stalls, duplicates, corrupts, goes silent, throttles.

usage: fault_proxy.py TARGET_PORT FAULT SEED

Prints the port it listens on. Does harm until "calm" comes on standard input; then it only passes
bytes on, and connections that it has spoilt are closed. Counts what it did and prints that at the
end of its input.

  cut        resets both sides at a random moment, often inside a record
  stall      passes nothing for a while, then everything
  silent     swallows all bytes of a connection from some moment on and closes nothing (half-open)
  duplicate  passes some bytes twice
  corrupt    flips one bit
  slow       passes few bytes a second
  refuse     resets new connections for some seconds at a time
"""

import random
import selectors
import socket
import struct
import sys
import time


class Pair:
    """One connection from an agent and the one to the aggregator."""

    def __init__(self, proxy, agent, aggregator):
        self.proxy = proxy
        self.sockets = (agent, aggregator)
        self.waiting = {agent: bytearray(), aggregator: bytearray()}
        self.hold_until = 0.0
        self.is_silent = False
        self.is_spoilt = False
        self.next_harm = time.monotonic() + proxy.random.uniform(1, 3)

    def other(self, one):
        return self.sockets[1] if one is self.sockets[0] else self.sockets[0]

    def received(self, source, data):
        proxy, now = self.proxy, time.monotonic()
        if self.is_silent:
            return
        if proxy.harms and now >= self.next_harm:
            self.next_harm = now + proxy.random.uniform(1, 4)
            data = self.harm(data, now)
            if data is None:
                return
        self.waiting[self.other(source)] += data

    def harm(self, data, now):
        proxy = self.proxy
        fault, draw = proxy.fault, proxy.random
        if fault in ("cut", "stall", "silent", "duplicate", "corrupt"):
            proxy.harm_count += 1
        place = draw.randrange(len(data))
        if fault == "cut":
            # Half of the bytes still arrive.
            try:
                self.sockets[1].send(data[:place])
            except OSError:
                pass
            self.reset()
            return None
        if fault == "stall":
            self.hold_until = now + draw.uniform(1, 4)
        elif fault == "silent":
            self.is_silent = True
            self.next_harm = now + 3600
            return None
        elif fault == "duplicate":
            end = draw.randrange(place, len(data)) + 1
            self.is_spoilt = True
            return data[:end] + data[place:end] + data[end:]
        elif fault == "corrupt":
            self.is_spoilt = True
            flipped = bytes([data[place] ^ (1 << draw.randrange(8))])
            return data[:place] + flipped + data[place + 1 :]
        return data

    def flush(self, now):
        if now < self.hold_until:
            return
        for target, data in self.waiting.items():
            if not data:
                continue
            amount = len(data)
            if self.proxy.fault == "slow" and self.proxy.harms:
                amount = min(amount, self.proxy.allowance())
                self.proxy.harm_count += amount < len(data)
            try:
                sent = target.send(data[:amount]) if amount else 0
            except BlockingIOError:
                continue
            except OSError:
                self.reset()
                return
            del data[:sent]

    def reset(self):
        for one in self.sockets:
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
        self.close()

    def close(self):
        self.proxy.forget(self)


class Proxy:
    def __init__(self, target, fault, seed):
        self.target, self.fault = target, fault
        self.random = random.Random(seed)
        self.harms = True
        self.harm_count = 0
        self.pairs = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.credit = (time.monotonic(), 0.0)
        self.refuse_until = 0.0
        self.next_refusal = time.monotonic() + 4

    def allowance(self):
        """Bytes that may pass now at 200 a second."""
        now = time.monotonic()
        then, credit = self.credit
        credit = min(400.0, credit + (now - then) * 200)
        self.credit = (now, credit % 1)
        return int(credit)

    def accept(self):
        agent, _ = self.listener.accept()
        now = time.monotonic()
        if self.fault == "refuse" and self.harms and now < self.refuse_until:
            self.harm_count += 1
            agent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            agent.close()
            return
        try:
            aggregator = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            agent.close()
            return
        pair = Pair(self, agent, aggregator)
        for one in pair.sockets:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[one] = pair
            self.selector.register(one, selectors.EVENT_READ)

    def forget(self, pair):
        for one in pair.sockets:
            if self.pairs.pop(one, None):
                self.selector.unregister(one)
                one.close()

    def calm(self):
        self.harms = False
        for pair in set(self.pairs.values()):
            pair.hold_until = 0.0
            if pair.is_silent or pair.is_spoilt:
                pair.close()

    def step(self):
        now = time.monotonic()
        if self.fault == "refuse" and self.harms and now >= self.next_refusal:
            self.refuse_until = now + self.random.uniform(2, 5)
            self.next_refusal = self.refuse_until + self.random.uniform(1, 4)
            for pair in set(self.pairs.values()):
                pair.reset()
        for key, _ in self.selector.select(0.02):
            if key.fileobj is self.listener:
                self.accept()
            elif key.fileobj is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return False
                if line.strip() == "calm":
                    self.calm()
            elif key.fileobj in self.pairs:
                pair = self.pairs[key.fileobj]
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if data:
                    pair.received(key.fileobj, data)
                elif not pair.is_silent:
                    pair.flush(now + 3600)
                    pair.close()
                else:
                    # The other side must not notice; this one is gone for good.
                    self.selector.unregister(key.fileobj)
                    self.pairs.pop(key.fileobj)
                    key.fileobj.close()
        for pair in set(self.pairs.values()):
            pair.flush(now)
        return True


def main():
    proxy = Proxy(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(f"port {proxy.listener.getsockname()[1]}", flush=True)
    while proxy.step():
        pass
    print(f"harmed {proxy.harm_count}", flush=True)


main()
