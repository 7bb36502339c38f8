import type { RunConfig } from '../config/types.ts';
import { createKafkaClient } from '../kafka/client.ts';
import { loadCodec } from '../kafka/compression.ts';
import type { KafkaAdmin } from '../kafka/kafka-client.ts';
import type { Log } from '../log.ts';
import { topicsOf } from '../outlets.ts';
import { type Finding, failure, pass } from './finding.ts';
import { topicFinding } from './topics.ts';

/** Of the broker and, when it answers, of each topic. */
export async function brokerFindings(config: RunConfig, log: Log): Promise<readonly Finding[]> {
  const { brokers, security, clientId, compression } = config;
  try {
    await loadCodec(compression);
    await using admin = await createKafkaClient({ brokers, security, clientId, log }).connectAdmin();
    const answered = `cluster ${await admin.clusterId()} of ${await admin.brokerCount()}, by way of ${brokers.join(',')}`;
    return [pass('broker', answered), ...(await topicFindings(admin, config))];
  } catch (error) {
    return [failure('broker', error)];
  }
}

async function topicFindings(admin: KafkaAdmin, config: RunConfig): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const name of topicsOf(config)) {
    const topic = `${config.topicPrefix}${name}`;
    try {
      const description = await admin.describeTopic(topic);
      const settings = description && (await admin.topicSettings(topic));
      findings.push(topicFinding({ name, topic, description, settings }, config.createTopics));
    } catch (error) {
      findings.push(failure(`topic ${topic}`, error));
    }
  }
  return findings;
}
