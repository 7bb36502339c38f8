import { Kafka, logLevel } from 'kafkajs';

/** How many offsets of a topic a consumer group has not committed yet, in all its partitions. */
export async function lagOf(brokers: string, groupId: string, topic: string): Promise<number> {
  const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const ends = await admin.fetchTopicOffsets(topic);
    return ends.reduce((lag, { partition, high }) => {
      const offset = committed?.partitions.find((one) => one.partition === partition)?.offset ?? '0';
      return lag + Number(high) - Math.max(0, Number(offset));
    }, 0);
  } finally {
    await admin.disconnect();
  }
}
