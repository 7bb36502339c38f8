"""Loads the topics into tables of ClickHouse, which runs in this process, and prints counts from them."""

import argparse
import math
import signal
import tempfile
from pathlib import Path

from chdb import session
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

TABLES = {"exec-events": "execs", "exit-events": "exits", "packet-counts": "packets"}
HERE = Path(__file__).parent


def main():
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    clickhouse = session.Session(str(options.data))
    clickhouse.query("CREATE DATABASE IF NOT EXISTS bpf2kafka")
    clickhouse.query("USE bpf2kafka")
    for statement in statements("tables.sql"):
        clickhouse.query(statement)

    names = {options.topic_prefix + topic: table for topic, table in TABLES.items()}
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    unread = ends_of(consumer, names) if options.until_end else None
    consumer.subscribe(list(names))
    try:
        while unread != {}:
            frames = {}
            messages = consumer.consume(10_000, timeout=1.0)
            for message in messages:
                if message.error() is None:
                    frames.setdefault(names[message.topic()], []).append(message.value())
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                place = message.topic(), message.partition()
                if unread and message.offset() + 1 >= unread.get(place, math.inf):
                    del unread[place]
            for table, values in frames.items():
                insert(clickhouse, table, values, options.registry)
            # Not before the rows are there: what comes twice after a crash replaces itself.
            if frames:
                consumer.commit(asynchronous=False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
    for query in statements("counts.sql"):
        print(str(clickhouse.query(query, "JSONEachRow")).strip(), flush=True)


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


def insert(clickhouse, table, values, registry):
    """Confluent frames one after the other are ClickHouse's format AvroConfluent."""
    with tempfile.NamedTemporaryFile(suffix=".avro") as file:
        file.write(b"".join(values))
        file.flush()
        clickhouse.query(
            f"INSERT INTO {table} SELECT * FROM file('{file.name}', 'AvroConfluent') "
            f"SETTINGS format_avro_schema_registry_url = '{registry}'"
        )


def statements(file):
    text = "\n".join(line for line in (HERE / file).read_text().splitlines() if not line.startswith("--"))
    return [one for one in text.split(";") if one.strip()]


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default="localhost:9092", metavar="HOST:PORT,…")
    parser.add_argument("--registry", required=True, metavar="URL")
    parser.add_argument("--topic-prefix", default="", metavar="P")
    parser.add_argument("--group", default="bpf2kafka-clickhouse", metavar="G")
    parser.add_argument("--data", type=Path, default=HERE / "data", metavar="DIR", help="where the tables are kept")
    parser.add_argument("--until-end", action="store_true", help="stop at the end that the topics have now")
    return parser.parse_args()


if __name__ == "__main__":
    main()
