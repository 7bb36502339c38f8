import { Kafka, logLevel } from 'kafkajs';

/** The names of all consumer groups that the broker knows. */
export async function groupsOf(brokers: string): Promise<string[]> {
  const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const { groups } = await admin.listGroups();
    return groups.map(({ groupId }) => groupId);
  } finally {
    await admin.disconnect();
  }
}
