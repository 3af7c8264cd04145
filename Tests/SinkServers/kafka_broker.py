#!/usr/bin/env python3
"""A Kafka broker of one node that takes only what the protocol's documents describe (https://kafka.apache.org/protocol),
with TLS and SASL, for producers that cannot be tried on a broker from elsewhere.

Record batches are read by kafka-python's reader, checksum included; SCRAM is scramp's server side; TLS is Python's.
Prints a JSON line for each message that was taken, with its producer's identity and the batch's compression.

usage: kafka_broker.py PORT [tls=CERT,KEY] [ca=FILE] [sasl=MECHANISM] [user=NAME] [password=TEXT] [partitions=4]
"""
import json
import socketserver
import ssl
import struct
import sys
import threading

from kafka.record import MemoryRecords
from scramp import ScramException, ScramMechanism

OPTIONS = dict(argument.split("=", 1) for argument in sys.argv[2:])
PORT = int(sys.argv[1])
PARTITIONS = int(OPTIONS.get("partitions", "4"))
MECHANISM = OPTIONS.get("sasl")
LOCK = threading.Lock()
NEXT_OFFSET = [0] * PARTITIONS
# By producer and partition: epoch, the next sequence number, and the first of the batch before it.
SEQUENCES = {}
PRODUCERS = [4_000]

CORRUPT, UNKNOWN_TOPIC, UNSUPPORTED_VERSION, INVALID_ACKS = 2, 3, 35, 21
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, OUT_OF_ORDER, DUPLICATE, UNKNOWN_PRODUCER = 33, 34, 45, 46, 59
AUTHENTICATION_FAILED = 58


class Reader:
    """Big-endian primitive types; raises at the end of the bytes."""

    def __init__(self, data):
        self.data, self.index = data, 0

    def take(self, count):
        if count < 0 or self.index + count > len(self.data):
            raise ValueError("a field goes beyond the request")
        self.index += count
        return self.data[self.index - count:self.index]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))[0]

    def string(self):
        count = self.number("h")
        return None if count == -1 else self.take(count).decode()

    def blob(self):
        count = self.number("i")
        return None if count == -1 else self.take(count)

    def no_tags(self):
        if self.number("b") != 0:
            raise ValueError("tagged fields that nobody described")

    def end(self):
        if self.index != len(self.data):
            raise ValueError("the request goes on behind its last field")


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def take(partition, data):
    """The error and base offset for a batch, as the documents of the idempotent producer say."""
    records = MemoryRecords(data)
    batch = records.next_batch()
    if batch is None or records.next_batch() is not None:
        raise ValueError("a partition's records must be one batch")
    if batch.magic != 2:
        return UNSUPPORTED_VERSION, -1
    if not batch.validate_crc():
        return CORRUPT, -1
    if batch.size_in_bytes != len(data) or batch.is_transactional or batch.is_control_batch:
        raise ValueError("the batch's header does not fit")
    messages = list(batch)
    if [m.offset for m in messages] != list(range(len(messages))) or batch.last_offset_delta != len(messages) - 1:
        raise ValueError("offsets in a batch must count from zero")
    if max(m.timestamp for m in messages) != batch.max_timestamp:
        raise ValueError("the largest timestamp is not in the batch")
    with LOCK:
        identity = (batch.producer_id, partition)
        if not 4_000 <= batch.producer_id < PRODUCERS[0]:
            return UNKNOWN_PRODUCER, -1
        wanted, before = SEQUENCES.get(identity, (0, None))
        if batch.base_sequence != wanted:
            return (DUPLICATE if batch.base_sequence == before else OUT_OF_ORDER), -1
        SEQUENCES[identity] = ((wanted + len(messages)) % 2**31, wanted)
        base = NEXT_OFFSET[partition]
        NEXT_OFFSET[partition] += len(messages)
        for m in messages:
            print(json.dumps({
                "partition": partition, "offset": base + m.offset, "timestamp": m.timestamp,
                "key": bytes(m.key).decode(), "value": bytes(m.value).decode(), "producer": batch.producer_id,
                "compression": batch.compression_type}), flush=True)
    return 0, base


class Session(socketserver.BaseRequestHandler):
    def setup(self):
        self.handshake, self.scram, self.is_authenticated = None, None, MECHANISM is None
        if "tls" in OPTIONS:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*OPTIONS["tls"].split(","))
            if "ca" in OPTIONS:
                context.load_verify_locations(OPTIONS["ca"])
                context.verify_mode = ssl.CERT_REQUIRED
            try:
                self.request = context.wrap_socket(self.request, server_side=True)
            except OSError as error:
                # A test that asks whether somebody listens, or a client that must not come in.
                print(json.dumps({"handshake": str(error)}), flush=True)
                self.request.close()

    def read(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.request.recv(count - len(data))
            except (ConnectionError, ssl.SSLError):
                return None
            if not piece:
                return None
            data += piece
        return data

    def handle(self):
        while self.request.fileno() >= 0 and (header := self.read(4)):
            request = Reader(self.read(struct.unpack(">i", header)[0]))
            api, version, correlation = request.number("h"), request.number("h"), request.number("i")
            request.string()
            if (api, version) == (22, 3):
                request.no_tags()
            print(json.dumps({"request": api, "version": version}), flush=True)
            call = {
                (0, 3): self.produce, (3, 1): self.metadata, (22, 3): self.producer,
                (18, 0): self.versions,
                (17, 1): self.sasl_handshake, (36, 0): self.sasl_authenticate}.get((api, version))
            if call is None:
                raise ValueError(f"request {api} version {version}")
            if not self.is_authenticated and api not in (17, 36):
                raise ValueError("a request before the login")
            answer = call(request)
            request.end()
            if answer is not None:
                self.request.sendall(struct.pack(">ii", len(answer) + 4, correlation) + answer)

    def sasl_handshake(self, request):
        self.handshake = request.string()
        is_known = self.handshake == MECHANISM
        return struct.pack(">hi", 0 if is_known else UNSUPPORTED_MECHANISM, 1) + string(MECHANISM)

    def sasl_authenticate(self, request):
        data = request.blob()
        if self.handshake != MECHANISM:
            return struct.pack(">h", ILLEGAL_STATE) + string("no handshake") + struct.pack(">i", 0)
        try:
            answer = self.plain(data) if MECHANISM == "PLAIN" else self.scram_step(data.decode())
        except (ScramException, PermissionError) as error:
            return struct.pack(">h", AUTHENTICATION_FAILED) + string(str(error)) + struct.pack(">i", 0)
        return struct.pack(">h", 0) + string(None) + struct.pack(">i", len(answer)) + answer

    def plain(self, data):
        # RFC 4616: authzid NUL authcid NUL passwd
        if data.split(b"\0") != [b"", OPTIONS["user"].encode(), OPTIONS["password"].encode()]:
            raise PermissionError("wrong user or password")
        self.is_authenticated = True
        return b""

    def scram_step(self, text):
        if self.scram is None:
            mechanism = ScramMechanism(MECHANISM)
            known = mechanism.make_auth_info(OPTIONS["password"], iteration_count=4_096)

            def lookup(user):
                # RFC 5802: a comma and an equals sign are written otherwise in a name.
                if user.replace("=2C", ",").replace("=3D", "=") != OPTIONS["user"]:
                    raise PermissionError("unknown user")
                return known

            self.scram = mechanism.make_server(lookup)
            self.scram.set_client_first(text)
            return self.scram.get_server_first().encode()
        self.scram.set_client_final(text)
        self.is_authenticated = True
        return self.scram.get_server_final().encode()

    def metadata(self, request):
        topics = [request.string() for _ in range(request.number("i"))]
        answer = struct.pack(">ii", 1, 1) + string("127.0.0.1") + struct.pack(">i", PORT) + string(None)
        answer += struct.pack(">ii", 1, len(topics))
        for topic in topics:
            answer += struct.pack(">h", 0) + string(topic) + b"\0" + struct.pack(">i", PARTITIONS)
            for partition in range(PARTITIONS):
                answer += struct.pack(">hiiiiii", 0, partition, 1, 1, 1, 1, 1)
        return answer

    def producer(self, request):
        if request.number("b") != 0:
            raise ValueError("a transactional id")
        if request.number("i") <= 0 or request.number("q") != -1 or request.number("h") != -1:
            raise ValueError("a new producer must say -1 for what it has not got yet")
        request.no_tags()
        with LOCK:
            PRODUCERS[0] += 1
            # Tagged fields stand at the header's end and at the body's.
            return b"\0" + struct.pack(">ihqh", 0, 0, PRODUCERS[0] - 1, 0) + b"\0"

    def versions(self, request):
        known = [(0, 3, 3), (3, 1, 1), (17, 1, 1), (18, 0, 0), (22, 3, 3), (36, 0, 0)]
        return struct.pack(">hi", 0, len(known)) + b"".join(struct.pack(">hhh", *row) for row in known)

    def produce(self, request):
        if request.string() is not None:
            raise ValueError("a transactional id")
        acks, timeout = request.number("h"), request.number("i")
        if timeout <= 0:
            raise ValueError("no time to do it in")
        topics = request.number("i")
        answer = struct.pack(">i", topics)
        for _ in range(topics):
            answer += string(request.string())
            partitions = request.number("i")
            answer += struct.pack(">i", partitions)
            for _ in range(partitions):
                partition, data = request.number("i"), request.blob()
                if not 0 <= partition < PARTITIONS:
                    code, base = UNKNOWN_TOPIC, -1
                else:
                    code, base = take(partition, data) if acks == -1 else (INVALID_ACKS, -1)
                answer += struct.pack(">ihqq", partition, code, base, -1)
        return answer + struct.pack(">i", 0)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        print(json.dumps({"violation": str(sys.exc_info()[1])}), flush=True)


Server(("127.0.0.1", PORT), Session).serve_forever()
