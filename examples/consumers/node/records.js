/** The records of bpf2kafka's topics: their Avro, and what tells a repeat. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import avro from 'avsc';
import kafkajs from 'kafkajs';

// The sidecar compresses with zstd unless it is told otherwise, and kafkajs knows gzip alone.
const { CompressionCodecs, CompressionTypes } = kafkajs;
const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: ({ buffer }) => compress(buffer), decompress });

/**
 * Reads both framings: Confluent's with a registry, Avro's single-object encoding with the schemas in a directory, a
 * file for each that may stand in the topics, as `bpf2kafka schema TOPIC` prints it.
 */
export function createDecoder({ registry, schemas }) {
  const client = registry && new SchemaRegistry({ host: registry });
  const types = new Map();
  for (const file of registry ? [] : readdirSync(schemas).filter((name) => name.endsWith('.avsc'))) {
    const schema = JSON.parse(readFileSync(join(schemas, file), 'utf8'));
    const type = avro.Type.forSchema(schema, { wrapUnions: false });
    types.set(fingerprint(type), type);
  }
  return async (value) => {
    if (value.readUInt16BE(0) !== 0xc301) {
      if (!client) throw new Error('the record names a schema of a registry: give --registry');
      return client.decode(value);
    }
    const type = types.get(value.toString('hex', 2, 10));
    if (!type) throw new Error(`no schema with the fingerprint ${value.toString('hex', 2, 10)} in ${schemas}`);
    return type.fromBuffer(value.subarray(10));
  };
}

/** CRC-64-AVRO of a schema's canonical form, as it stands in a record: eight bytes, the lowest first. */
function fingerprint(type) {
  const empty = 0xc15d213aa4d7a795n;
  let crc = empty;
  for (const byte of Buffer.from(JSON.stringify(type.schema()))) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >> 1n) ^ (crc & 1n ? empty : 0n);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(crc);
  return bytes.toString('hex');
}

/** What a record and its repeats have in common, and no other record of the topic has. */
export function identity(record) {
  const { host_id, boot_id, attach_id, seq } = record;
  if (seq !== undefined) return JSON.stringify([host_id, boot_id, attach_id, seq]); // an exec or an exit
  const { epoch, interface_index, address_family, protocol_number, source_address, destination_address } = record;
  const { source_port, destination_port, icmp_type, icmp_code, vlan_id, traffic_class } = record;
  const addresses = [address_family, protocol_number, source_address, destination_address];
  const key = [...addresses, source_port, destination_port, icmp_type, icmp_code, vlan_id, traffic_class];
  return JSON.stringify([host_id, boot_id, epoch, interface_index, ...key]);
}

/**
 * The newest identities. A repeat is never far behind: it is what a host had sent when its sidecar was killed or an
 * answer of the broker was lost, so much as fits its buffer in the kernel.
 */
export class Recent {
  #seen = new Set();
  #size;

  constructor(size = 500_000) {
    this.#size = size;
  }

  isNew(id) {
    const known = this.#seen.delete(id);
    this.#seen.add(id);
    if (this.#seen.size > this.#size) this.#seen.delete(this.#seen.values().next().value);
    return !known;
  }
}
