"""Applies the rules to the topics and writes what they find to a topic of alerts."""

import argparse
import json
import signal
from datetime import datetime, timezone

from confluent_kafka import Consumer, KafkaException, Producer
from records import Decoder, Recent, identity
from sigma import load

SHOWN = (
    *("exec_id", "pid", "exe", "args", "env", "user_name", "container_id"),
    *("parent_exec_id", "parent_exe", "parent_comm"),
)


class Detector:
    """Alerts of records. The id of an alert is made of what was found, so that one which is written twice is known."""

    def __init__(self, rules):
        self._rules, self._correlations = load(rules)
        self._recent = {topic: Recent() for topic in self.topics()}
        self._newest = datetime.min.replace(tzinfo=timezone.utc)

    def topics(self):
        return sorted({rule.topic for rule in self._rules})

    def alerts(self, topic, record):
        if not self._recent[topic].is_new(identity(record)):
            return
        time = record.get("event_time") or record["interval_end"]
        for rule in self._rules:
            if rule.topic != topic or not rule.matches(record):
                continue
            if rule.level:
                shown = {field: record[field] for field in SHOWN if record.get(field) is not None}
                yield alert(rule, record, time, f"{record['boot_id']}:{record['seq']}", shown)
            for correlation in self._correlations:
                found = correlation.add(record, time) if rule.name in correlation.rules else None
                if found:
                    group = ":".join(str(record[field]) for field in correlation.group_by)
                    yield alert(correlation, record, time, f"{group}:{int(time.timestamp())}", found)
        if (time - self._newest).total_seconds() > 60:
            self._newest = time
            for correlation in self._correlations:
                correlation.forget(time)


def alert(rule, record, time, what, evidence):
    return {
        "id": f"{rule.name}:{what}",
        **{"rule": rule.name, "title": rule.title, "level": rule.level, "tags": rule.tags},
        **{"time": time.isoformat(), "host_id": record["host_id"], "host_name": record["host_name"]},
        "evidence": evidence,
    }


def main():
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    decoder = Decoder(options.registry, options.schemas)
    detector = Detector(options.rules)
    names = {options.topic_prefix + topic: topic for topic in detector.topics()}
    producer = Producer({"bootstrap.servers": options.brokers, "enable.idempotence": True})
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(list(names))
    try:
        while True:
            messages = consumer.consume(500, timeout=1.0)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                for found in detector.alerts(names[message.topic()], decoder.decode(message)):
                    print(json.dumps(found), flush=True)
                    producer.produce(options.to, key=found["host_id"], value=json.dumps(found), on_delivery=check)
            if messages:
                # The records are done with when the broker has their alerts.
                producer.flush()
                consumer.commit(asynchronous=False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def check(error, _message):
    if error is not None:
        raise KafkaException(error)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default="localhost:9092", metavar="HOST:PORT,…")
    parser.add_argument("--registry", metavar="URL", help="of the schema registry, when the sidecars have one")
    parser.add_argument("--schemas", default="schemas", metavar="DIR", help="*.avsc, for records without a registry")
    parser.add_argument("--topic-prefix", default="", metavar="P")
    parser.add_argument("--rules", default="rules", metavar="DIR")
    parser.add_argument("--to", default="security-alerts", metavar="TOPIC", help="its full name; it must be there")
    parser.add_argument("--group", default="bpf2kafka-detections", metavar="G")
    return parser.parse_args()


if __name__ == "__main__":
    main()
