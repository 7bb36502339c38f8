export interface BrokerLayout {
  readonly dataDirectory: string;
  readonly port: number;
  readonly controllerPort: number;
}

/** One node, loopback only, sized for one host's events: threads and buffers are far below Kafka's defaults. */
export function brokerProperties(layout: BrokerLayout, overrides: Readonly<Record<string, string>>): string {
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://127.0.0.1:${layout.port},CONTROLLER://127.0.0.1:${layout.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${layout.port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    // A static voter: a dynamic one would write the controller's port into the data, and the next start could not choose another.
    'controller.quorum.voters': `1@127.0.0.1:${layout.controllerPort}`,
    'log.dirs': layout.dataDirectory,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    // A broker that was killed may not register again before its session has ended, 9 s by default.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    // By default twice a second, synced to disk, so that others see how far metadata lag behind: there are no others.
    'metadata.max.idle.interval.ms': '0',
    'num.network.threads': '1',
    'num.io.threads': '2',
    'num.recovery.threads.per.data.dir': '1',
    'background.threads': '2',
    // The default of 128 MiB is allocated at start: it is half of the broker's resident memory.
    'log.cleaner.dedupe.buffer.size': '2097152',
    ...overrides,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${escapeValue(value)}\n`)
    .join('');
}

/** java.util.Properties: a backslash escapes, a line ends the value, leading blanks are dropped. */
function escapeValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\r/g, '\\r').replace(/^ /, '\\ ');
}
