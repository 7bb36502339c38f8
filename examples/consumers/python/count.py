"""Counts the records of bpf2kafka's topics, repeats once: a consumer to start from."""

import argparse
import json
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from records import Decoder, Recent, identity

TOPICS = ("exec-events", "exit-events", "packet-counts")


def main():
    options = parse()
    names = {options.topic_prefix + topic: topic for topic in TOPICS}
    decoder = Decoder(options.registry, options.schemas)
    counts = {topic: {"topic": topic, "records": 0, "distinct": 0} for topic in TOPICS}
    counts["packet-counts"]["packets"] = 0
    recent = {topic: Recent() for topic in TOPICS}

    # It keeps nothing on disk, so it commits nothing: each start reads from the beginning, as a group of its own.
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": f"bpf2kafka-count-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    unread = ends_of(consumer, names) if options.until_end else None
    consumer.subscribe(list(names))
    shown = time.monotonic()
    try:
        while unread != {}:
            if unread is None and time.monotonic() - shown > 10:
                show(counts)
                shown = time.monotonic()
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            place = message.topic(), message.partition()
            if unread is not None and place not in unread:
                continue  # written since it began
            if error is None:
                topic = names[message.topic()]
                count(decoder.decode(message), counts[topic], recent[topic])
            if unread is not None and message.offset() + 1 >= unread[place]:
                del unread[place]
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
    show(counts)


def ends_of(consumer, topics):
    """Where each partition ends now."""
    ends = {}
    for topic in topics:
        metadata = consumer.list_topics(topic).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        for partition in metadata.partitions:
            _, ends[topic, partition] = consumer.get_watermark_offsets(TopicPartition(topic, partition))
    return ends


def count(record, counts, recent):
    counts["records"] += 1
    if recent.is_new(identity(record)):
        counts["distinct"] += 1
        if "packets" in counts:
            counts["packets"] += record["packets"]


def show(counts):
    for line in counts.values():
        print(json.dumps(line), flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default="localhost:9092", metavar="HOST:PORT,…")
    parser.add_argument("--registry", metavar="URL", help="of the schema registry, when the sidecars have one")
    parser.add_argument("--schemas", default="schemas", metavar="DIR", help="*.avsc, for records without a registry")
    parser.add_argument("--topic-prefix", default="", metavar="P")
    parser.add_argument("--until-end", action="store_true", help="stop at the end that the topics have now")
    return parser.parse_args()


if __name__ == "__main__":
    main()
