import { systemClock } from '../../src/clock.ts';
import type { Health } from '../../src/http/health.ts';
import { type HttpServer, startHttp } from '../../src/http/server.ts';
import { LiveState } from '../../src/live/live-state.ts';
import type { Figures } from '../../src/metrics/figures.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { PacketCount } from '../../src/schemas/packet-count.ts';
import { fakeLog, recordOf } from '../unit/producers/fakes.ts';
import { fullEvent } from '../unit/schemas/events.ts';
import { flowCount } from '../unit/schemas/packet-counts.ts';

const codec = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });

export const pageToken = 'token-of-the-tests';

/** The live page over HTTP as a sidecar serves it, of execs and packets that a test makes up. */
export class MadeUpPage implements AsyncDisposable {
  readonly state: LiveState;
  readonly url: string;
  readonly #server: HttpServer;

  private constructor(state: LiveState, server: HttpServer) {
    this.state = state;
    this.#server = server;
    this.url = server.url;
  }

  /** @param port 0: one that is free */
  static async start(figures: Figures, health: Health, port = 0): Promise<MadeUpPage> {
    const clock = systemClock;
    const state = new LiveState({
      host: { hostId: fullEvent.host_id, hostName: 'web-17', attachedAt: clock.nowMillis() - 7_200_000 },
      health: () => health,
      figures: () => figures,
      readExec: (value) => codec.read(value),
      clock,
    });
    const server = await startHttp({
      address: { host: '127.0.0.1', port },
      hostName: 'web-17',
      token: pageToken,
      health: () => health,
      metrics: { contentType: 'text/plain', text: async () => 'up 1\n' },
      live: state,
      clock,
      log: fakeLog().log,
    });
    if (server === undefined) throw new Error('it does not listen');
    return new MadeUpPage(state, server);
  }

  execs(...changes: readonly Partial<ExecEvent>[]): void {
    const now = Date.now();
    const plain = { ...fullEvent, event_time: now, container_id: null, k8s_pod_name: null, degraded: [] };
    this.state.delivered(codec.encode(changes.map((changed) => ({ ...plain, ...changed }))));
  }

  /** @param times milliseconds since 1970 */
  exits(...times: readonly number[]): void {
    const records = times.map((timestamp) => recordOf('', { timestamp }));
    this.state.delivered({ topic: 'exit-events', records: packRecords(records) });
  }

  packets(...changes: readonly Partial<PacketCount>[]): void {
    const end = Date.now();
    const interval = { interval_start: end - 1_000, interval_end: end };
    this.state.counted(changes.map((changed) => ({ ...flowCount, ...interval, ...changed })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}
