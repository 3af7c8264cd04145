#!/usr/bin/env python3
"""Everything in a topic, a JSON line for each message, read with somebody else's client.

usage: kafka_read.py CLIENT BOOTSTRAP TOPIC COUNT      CLIENT: kafka-python or confluent
Ends when COUNT messages came and then nothing for two seconds, or after a minute.
"""
import json
import sys
import time


def show(partition, offset, timestamp, key, value):
    print(json.dumps({
        "partition": partition, "offset": offset, "timestamp": timestamp,
        "key": (key or b"").decode(), "value": (value or b"").decode()}))


def kafka_python(bootstrap, topic):
    from kafka import KafkaConsumer, TopicPartition
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), auto_offset_reset="earliest", enable_auto_commit=False,
        check_crcs=True)
    consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or []])
    while True:
        for messages in consumer.poll(timeout_ms=500).values():
            for m in messages:
                yield m.partition, m.offset, m.timestamp, m.key, m.value
        yield None


def confluent(bootstrap, topic):
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "check.crcs": True, "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    while True:
        message = consumer.poll(0.5)
        if message is None or message.error():
            yield None
        else:
            yield (message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value())


def main():
    client, bootstrap, topic, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    read = {"kafka-python": kafka_python, "confluent": confluent}[client]
    found, end, quiet = 0, time.monotonic() + 60, time.monotonic() + 10
    for message in read(bootstrap, topic):
        now = time.monotonic()
        if message:
            show(*message)
            found, quiet = found + 1, now + 2
        elif found >= count and now > quiet or now > end:
            return


main()
