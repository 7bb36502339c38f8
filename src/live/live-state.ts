import type { OutgoingBatch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { type Health, readinessOf } from '../http/health.ts';
import type { Figures } from '../metrics/figures.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { escapeJson } from '../terminal.ts';
import { version } from '../version.ts';
import { viewOf } from './exec-view.ts';
import { balanceOf, deliveriesOf, type LiveJson, packetsOf, ringsOf, spoolOf } from './live-json.ts';
import { PacketLeaders } from './packet-leaders.ts';
import { keptSeconds, Rates } from './rates.ts';
import { RecentExecs } from './recent-execs.ts';

export interface LiveOptions {
  /** When its capture was attached, milliseconds since 1970. */
  readonly host: { readonly hostId: string; readonly hostName: string; readonly attachedAt: number };
  readonly health: () => Health;
  /** Undefined when the sidecar has ended. */
  readonly figures: () => Figures | undefined;
  /** The exec of a value in the topic; undefined when a version with another schema has written it. */
  readonly readExec: (value: Buffer) => ExecEvent | undefined;
  readonly clock: Clock;
}

/** The state at one moment. */
export interface LiveView {
  /** For the next question: execs that came up to here are in this one. */
  readonly mark: number;
  /** As JSON text that is harmless on a terminal. */
  json(withArgv: boolean): string;
}

/** Execs that one view shows at most, the newest; it says how many there were. */
export const execsShown = 200;
export const leadersShown = 50;
/** After so long (milliseconds) the events of a second are acknowledged, unless the broker is slow; then they are filled in. */
const settling = 500;

/**
 * What the live page shows. It takes what the broker has acknowledged: bytes and events that are there anyway. Work with
 * them is done when somebody asks for a view, and everything that is kept is bounded, so it can stay on.
 */
export class LiveState {
  readonly #options: LiveOptions;
  readonly #since: number;
  readonly #execs: RecentExecs;
  readonly #leaders = new PacketLeaders();
  readonly #rates = new Rates();

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#since = options.clock.nowMillis();
    this.#execs = new RecentExecs(execsShown, options.readExec);
  }

  /** A batch was acknowledged. */
  delivered({ topic, records }: OutgoingBatch): void {
    if (topic === 'exec-events') {
      this.#execs.add(records);
      this.#count('execs', records);
    } else if (topic === 'exit-events') {
      this.#count('exits', records);
    }
  }

  #count(what: 'execs' | 'exits', records: PackedRecords): void {
    for (let i = 0; i < records.length; i += 1) this.#rates.count(what, records.timestampOf(i));
  }

  /** Packet counts of one interval were acknowledged. */
  counted(counts: readonly PacketCount[]): void {
    const [first] = counts;
    if (first === undefined) return;
    this.#leaders.add(counts);
    const packets = counts.reduce((sum, count) => sum + count.packets, 0);
    this.#rates.spread('packets', first.interval_start, first.interval_end, packets);
  }

  /**
   * @param mark of an earlier view: only execs since then; without it all that are kept
   * @returns undefined when the sidecar has ended
   */
  view(mark = 0): LiveView | undefined {
    const figures = this.#options.figures();
    if (figures === undefined) return undefined;
    const state = this.#stateOf(figures);
    const { published, events } = this.#execs.since(mark);
    return {
      mark: this.#execs.total,
      json: (withArgv) => {
        const views = events.map((event) => viewOf(event, withArgv));
        const execs = { published, shown: views.length, with_argv: withArgv, events: views };
        return escapeJson(JSON.stringify({ ...state, execs } satisfies LiveJson));
      },
    };
  }

  #stateOf(figures: Figures): Omit<LiveJson, 'execs'> {
    const { host, health, clock } = this.#options;
    const now = clock.nowMillis();
    const present = health();
    const { ready, reasons } = readinessOf(present, now);
    const settled = now - settling;
    const until = figures.packets === undefined ? 0 : this.#leaders.until;
    const counted = figures.rings.some(({ ring }) => ring === 'exit') ? settled : 0;
    return {
      host_id: host.hostId,
      host_name: host.hostName,
      version,
      now,
      since: this.#since,
      attached_at: host.attachedAt,
      capturing: figures.capturing,
      ready,
      reasons,
      ledger: balanceOf(figures.streams),
      deliveries: deliveriesOf(figures, present),
      rings: ringsOf(figures),
      spool: spoolOf(figures),
      packets: packetsOf(figures, this.#leaders.leaderboard(leadersShown)),
      rates: this.#rates.history(now, keptSeconds, { execs: settled, exits: counted, packets: until }),
    };
  }
}
