/** Counts the records of bpf2kafka's topics, repeats once: a consumer to start from. */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { createDecoder, identity, Recent } from './records.js';

const { values: options } = parseArgs({
  options: {
    brokers: { type: 'string', default: 'localhost:9092' },
    registry: { type: 'string' },
    schemas: { type: 'string', default: 'schemas' },
    'topic-prefix': { type: 'string', default: '' },
    'until-end': { type: 'boolean', default: false },
  },
});
const topics = ['exec-events', 'exit-events', 'packet-counts'];
const nameOf = (topic) => `${options['topic-prefix']}${topic}`;
const counts = new Map(topics.map((topic) => [nameOf(topic), { topic, records: 0, distinct: 0 }]));
counts.get(nameOf('packet-counts')).packets = 0;
const recent = new Map([...counts.keys()].map((topic) => [topic, new Recent()]));

const kafka = new Kafka({ brokers: options.brokers.split(','), logLevel: logLevel.ERROR });
const decode = createDecoder(options);
const unread = options['until-end'] ? await endsOf([...counts.keys()]) : undefined;

// It keeps nothing on disk, so it commits nothing: each start reads from the beginning, as a group of its own.
const consumer = kafka.consumer({ groupId: `bpf2kafka-count-${randomUUID()}` });
await consumer.connect();
await consumer.subscribe({ topics: [...counts.keys()], fromBeginning: true });
const atEnd = Promise.withResolvers();
const onSignal = () => atEnd.resolve();
process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
consumer.on(consumer.events.CRASH, ({ payload }) => !payload.restart && atEnd.reject(payload.error));
const timer = unread ? undefined : setInterval(show, 10_000);
if (unread?.size === 0) atEnd.resolve();

await consumer.run({
  autoCommit: false,
  async eachMessage({ topic, partition, message }) {
    const end = unread?.get(`${topic} ${partition}`);
    if (unread && end === undefined) return; // written since it began
    let record;
    try {
      record = await decode(message.value);
    } catch (error) {
      // Thrown here, kafkajs would try again for ever.
      atEnd.reject(error);
      return;
    }
    count(topic, record);
    if (end === undefined || BigInt(message.offset) + 1n < end) return;
    unread.delete(`${topic} ${partition}`);
    if (unread.size === 0) atEnd.resolve();
  },
});
try {
  await atEnd.promise;
} finally {
  clearInterval(timer);
  await consumer.disconnect();
}
show();

function count(topic, record) {
  const of = counts.get(topic);
  of.records += 1;
  if (!recent.get(topic).isNew(identity(record))) return;
  of.distinct += 1;
  if ('packets' in of) of.packets += record.packets;
}

function show() {
  for (const line of counts.values()) console.log(JSON.stringify(line));
}

/** Where each partition that has records ends now. */
async function endsOf(names) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const ends = new Map();
    for (const topic of names)
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
        if (high !== low) ends.set(`${topic} ${partition}`, BigInt(high));
    return ends;
  } finally {
    await admin.disconnect();
  }
}
