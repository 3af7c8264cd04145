#!/usr/bin/env python3
"""librdkafka's mock cluster, which comes with Debian's librdkafka1 (kcat brings it).

usage: kafka_mock.py BROKERS TOPIC PARTITIONS

Prints the brokers' addresses, then takes commands from standard input and answers each with `ok`:
    err API CODE        the next request of that number is answered with the error
    down ID | up ID     a broker goes away, comes back
    leader PARTITION ID another broker becomes the partition's leader
    rtt ID MS           a broker answers late
"""
import ctypes
import os
import signal
import sys

PRODUCER = 0


def main():
    brokers, topic, partitions = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
    # At once: the interpreter would wait for threads that never end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    library = ctypes.CDLL("librdkafka.so.1")
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    message = ctypes.create_string_buffer(512)
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    client = library.rd_kafka_new(PRODUCER, configuration, message, ctypes.c_size_t(len(message)))
    if not client:
        sys.exit(message.value.decode())
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), brokers))
    if not cluster:
        sys.exit("no mock cluster")
    library.rd_kafka_mock_topic_create(cluster, topic, partitions, 1)
    print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        word, *numbers = line.split()
        a, b = (int(number) for number in (numbers + ["0"])[:2])
        if word == "err":
            # Variadic: the errors follow their count.
            library.rd_kafka_mock_push_request_errors(
                cluster, ctypes.c_int16(a), ctypes.c_size_t(1), ctypes.c_int(b))
        elif word == "down":
            library.rd_kafka_mock_broker_set_down(cluster, ctypes.c_int32(a))
        elif word == "up":
            library.rd_kafka_mock_broker_set_up(cluster, ctypes.c_int32(a))
        elif word == "leader":
            library.rd_kafka_mock_partition_set_leader(cluster, topic, ctypes.c_int32(a), ctypes.c_int32(b))
        elif word == "rtt":
            library.rd_kafka_mock_broker_set_rtt(cluster, ctypes.c_int32(a), ctypes.c_int(b))
        else:
            sys.exit(f"unknown command {line!r}")
        print("ok", flush=True)


main()
