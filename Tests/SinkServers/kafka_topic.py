#!/usr/bin/env python3
"""Makes a topic. usage: kafka_topic.py BOOTSTRAP TOPIC PARTITIONS"""
import json
import sys

from confluent_kafka.admin import AdminClient, NewTopic

client = AdminClient({"bootstrap.servers": sys.argv[1], "log_level": 0})
made = client.create_topics([NewTopic(sys.argv[2], int(sys.argv[3]), 1)])
for name, result in made.items():
    result.result(timeout=30)
    print(json.dumps({"topic": name}))
