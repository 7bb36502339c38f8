import { randomUUID } from 'node:crypto';
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs';
import { systemClock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { Admin } from './admin.ts';
import { createAuthentication } from './authentication.ts';
import { brokerError, isRefusal } from './broker-error.ts';
import { createCluster } from './cluster.ts';
import {
  type Connection,
  connectDeadlineMillis,
  connectPauseMillis,
  type Fail,
  retry,
  settleMillis,
} from './connection.ts';
import { DeadlineError, settlesWithin, withDeadline } from './deadline.ts';
import { GroupReader } from './group-reader.ts';
import type { KafkaAdmin, KafkaClient, KafkaClientOptions } from './kafka-client.ts';
import { applyKafkajsFixes } from './kafkajs-fixes.ts';
import { LogLimit } from './log-limit.ts';
import { Producer } from './producer.ts';
import { type GroupConsumer, TopicReader } from './reader.ts';
import { Sockets } from './sockets.ts';

/** @throws Bpf2KafkaError ERR_CONFIG when a file with a certificate or a secret cannot be used */
export function createKafkaClient(options: KafkaClientOptions): KafkaClient {
  const { brokers, clientId, security = {}, log, clock = systemClock } = options;
  const { tls, sasl } = createAuthentication(security, clock, log);
  const fail: Fail = (operation, error) => brokerError(operation, brokers, error, security);
  const fixes = applyKafkajsFixes();
  if (!fixes.patched) {
    log.warn({ version: fixes.version }, 'kafkajs is not the version that its fixes were written for: not applied');
  }
  // Of the client and not of the connection: an outage makes a new connection every few seconds.
  const warnings = new LogLimit(clock);

  const configure = (): { readonly config: KafkaConfig; readonly sockets: Sockets } => {
    const sockets = new Sockets(tls);
    const config: KafkaConfig = {
      brokers: [...brokers],
      clientId,
      ...(sasl === undefined ? {} : { sasl }),
      retry,
      connectionTimeout: 3_000,
      requestTimeout: 30_000,
      socketFactory: sockets.connect as NonNullable<KafkaConfig['socketFactory']>,
      logLevel: kafkajs.logLevel.INFO,
      logCreator: () => (entry) => writeLogEntry(entry, log, warnings),
    };
    return { config, sockets };
  };
  const open = (): Connection => {
    const { config, sockets } = configure();
    return { kafka: new kafkajs.Kafka(config), sockets };
  };

  const client: KafkaClient = {
    brokers,
    connectAdmin: async ({ deadlineMillis = connectDeadlineMillis, signal } = {}) => {
      const deadline = clock.elapsedMillis() + deadlineMillis;
      let reason: unknown;
      for (;;) {
        const admin = new Admin(open(), fail, clock);
        try {
          const left = Math.max(0, deadline - clock.elapsedMillis());
          await withDeadline(admin.connect(), left, clock, signal);
          return admin;
        } catch (error) {
          await admin.close();
          // That the time is up says less than why the attempt before it failed.
          if (reason === undefined || !(error instanceof DeadlineError)) reason = error;
          const over = clock.elapsedMillis() + connectPauseMillis >= deadline || signal?.aborted;
          if (over || error instanceof DeadlineError || isRefusal(error)) {
            throw fail('reach the broker', reason);
          }
          await clock.sleep(connectPauseMillis, signal);
        }
      }
    },
    createProducer: () => {
      const { config, sockets } = configure();
      return new Producer({ cluster: createCluster(config), sockets }, clientId, fail, clock);
    },
    read: async ({ topics, fromBeginning, since, signal }) => {
      const admin = await client.connectAdmin(signal === undefined ? {} : { signal });
      try {
        const start = new Map<string, bigint[]>();
        for (const topic of topics) {
          await refuseMissing(admin, topic);
          const offsets: bigint[] = [];
          for (const { partition, low, high } of await admin.topicOffsets(topic, since)) {
            offsets[partition] = fromBeginning || since !== undefined ? low : high;
          }
          start.set(topic, offsets);
        }
        const groupId = `${clientId}-tail-${randomUUID()}`;
        const { kafka, sockets } = open();
        const consumer = kafka.consumer({ ...consumerSettings, groupId });
        return await TopicReader.open({
          consumer: {
            ...groupConsumer(consumer),
            seek: (position) => consumer.seek(position),
            onJoin: (listener) => void consumer.on(consumer.events.GROUP_JOIN, listener),
            close: async () => {
              await settlesWithin(consumer.disconnect(), settleMillis, clock);
              sockets.close();
              // Where the principal may: otherwise the broker forgets an empty group after offsets.retention.minutes.
              await admin
                .deleteGroup(groupId)
                .catch((error) => log.debug({ reason: reasonOf(error) }, 'group not deleted'));
              await admin.close();
            },
          },
          start,
          fail: (error) => fail('read from the broker', error),
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (error) {
        await admin.close();
        throw fail('read from the broker', error);
      }
    },
    readGroup: async ({ topic, groupId, signal }) => {
      {
        await using admin = await client.connectAdmin({ signal });
        await refuseMissing(admin, topic);
      }
      const { kafka, sockets } = open();
      // What a member that was killed has had is given to others after the session's time, and not before.
      const consumer = kafka.consumer({ ...consumerSettings, sessionTimeout: 10_000, groupId });
      return GroupReader.open({
        member: {
          ...groupConsumer(consumer),
          commit: (position) => consumer.commitOffsets([position]),
          close: async () => {
            await settlesWithin(consumer.disconnect(), settleMillis, clock);
            sockets.close();
          },
        },
        topic,
        fail: (error) => fail('read from the broker', error),
        clock,
        signal,
      });
    },
  };
  return client;
}

const consumerSettings = {
  retry,
  allowAutoTopicCreation: false,
  maxWaitTimeInMs: 250,
  sessionTimeout: 30_000,
  heartbeatInterval: 3_000,
};

/** What both readers need of kafkajs's consumer. */
function groupConsumer(
  consumer: ReturnType<Kafka['consumer']>,
): Pick<GroupConsumer, 'connect' | 'subscribe' | 'run' | 'onEnd'> {
  return {
    connect: () => consumer.connect(),
    // When an offset has been deleted meanwhile, go on with the oldest that is left.
    subscribe: (names) => consumer.subscribe({ topics: [...names], fromBeginning: true }),
    run: (eachBatch) => consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }),
    onEnd: (listener) =>
      void consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) listener(payload.error);
      }),
  };
}

async function refuseMissing(admin: KafkaAdmin, topic: string): Promise<void> {
  if ((await admin.describeTopic(topic)) !== undefined) return;
  throw new Bpf2KafkaError('ERR_TOPIC', {
    operation: 'read the topic',
    subject: topic,
    reason: 'it does not exist',
    remedy: 'check --topic-prefix, or start bpf2kafka run first',
  });
}

/** What kafkajs warns of, and nobody needs to act on. */
const expectedWords: readonly RegExp[] = [
  // An answer with an error in it, which comes back to the caller, who knows whether it means anything: a topic that is
  // asked for before it is made, a coordinator that is still loading.
  /^Response \w+\(key: /,
  // After it the consumer starts again by itself.
  /^Crash: .*coordinator is loading/,
  // Our own doing.
  /the client is closed$/,
];

/**
 * kafkajs's words to ours: message and broker only (its entries carry stack traces), warnings and errors once a minute
 * with the number of those between; everything else, and those, at debug.
 */
function writeLogEntry({ namespace, level, log: entry }: LogEntry, log: Log, warnings: LogLimit): void {
  const fields = { kafkajs: namespace, broker: entry.broker as unknown };
  const expected = expectedWords.some((words) => words.test(entry.message));
  const suppressed = level <= kafkajs.logLevel.WARN && !expected ? warnings.pass() : undefined;
  if (suppressed === undefined) log.debug(fields, entry.message);
  else log.warn({ ...fields, suppressed }, entry.message);
}
