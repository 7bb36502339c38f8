"""The records of bpf2kafka's topics: their Avro, and what tells a repeat."""

import io
import json
from collections import OrderedDict
from pathlib import Path

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, to_parsing_canonical_form

SINGLE_OBJECT = b"\xc3\x01"


class Decoder:
    """Reads both framings: Confluent's with a registry, Avro's single-object encoding with the schemas in a directory.

    The directory holds what `bpf2kafka schema TOPIC` prints, a file for each schema that may stand in the topics.
    """

    def __init__(self, registry=None, schemas="schemas"):
        self._registry = registry and AvroDeserializer(SchemaRegistryClient({"url": registry}))
        self._by_fingerprint = {}
        for file in Path(schemas).glob("*.avsc"):
            schema = json.loads(file.read_text())
            name = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
            self._by_fingerprint[bytes.fromhex(name)] = parse_schema(schema)

    def decode(self, message):
        """The record as a dict; times are datetimes."""
        value = message.value()
        if value[:2] == SINGLE_OBJECT:
            schema = self._by_fingerprint.get(value[2:10])
            if schema is None:
                raise ValueError(f"no schema with the fingerprint {value[2:10].hex()} in the directory of schemas")
            return schemaless_reader(io.BytesIO(value[10:]), schema)
        if self._registry is None:
            raise ValueError("the record names a schema of a registry: give --registry")
        return self._registry(value, SerializationContext(message.topic(), MessageField.VALUE))


KEY = (
    *("address_family", "protocol_number", "source_address", "destination_address"),
    *("source_port", "destination_port", "icmp_type", "icmp_code", "vlan_id", "traffic_class"),
)


def identity(record):
    """What a record and its repeats have in common, and no other record of the topic has."""
    if "seq" in record:  # an exec or an exit
        return record["host_id"], record["boot_id"], record["attach_id"], record["seq"]
    counted = (record[field] for field in KEY)
    return record["host_id"], record["boot_id"], record["epoch"], record["interface_index"], *counted


class Recent:
    """The newest identities. A repeat is never far behind: it is what a host had sent when its sidecar was killed or an
    answer of the broker was lost, so much as fits its buffer in the kernel."""

    def __init__(self, size=500_000):
        self._size = size
        self._seen = OrderedDict()

    def is_new(self, identity):
        if identity in self._seen:
            self._seen.move_to_end(identity)
            return False
        self._seen[identity] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True
