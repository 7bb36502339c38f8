import avro from 'avsc';

/** Records as they lie in the spool, in the order of the ring. */
export interface SpooledBatch {
  /** Of the schema that the values are written with. */
  readonly fingerprint: Buffer;
  readonly records: readonly SpooledRecord[];
}

/** As OutgoingRecord, without the key, and without the frame, which is known only to who sends it. */
export interface SpooledRecord {
  /** Avro without a frame. */
  readonly value: Buffer;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Read by later versions: it changes only as Avro schemas may. */
const type = avro.Type.forSchema({
  type: 'record',
  name: 'SpooledBatch',
  namespace: 'io.bpf2kafka.v1',
  fields: [
    { name: 'fingerprint', type: { type: 'fixed', name: 'Fingerprint', size: 8 } },
    {
      name: 'records',
      type: {
        type: 'array',
        items: {
          type: 'record',
          name: 'SpooledRecord',
          fields: [
            { name: 'value', type: 'bytes' },
            { name: 'timestamp', type: 'long' },
            { name: 'headers', type: { type: 'map', values: 'string' } },
          ],
        },
      },
    },
  ],
});

export function encodeSpooledBatch(batch: SpooledBatch): Buffer {
  return type.toBuffer(batch);
}

/** Throws when the bytes are no such batch. The values are views of the bytes. */
export function decodeSpooledBatch(bytes: Buffer): SpooledBatch {
  return type.fromBuffer(bytes) as SpooledBatch;
}
