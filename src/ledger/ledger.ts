import type { Clock } from '../clock.ts';
import type { EpochCut } from '../kernel/counts.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { Log } from '../log.ts';
import type { LedgerEntry, LedgerState } from '../schemas/ledger-entry.ts';
import { version } from '../version.ts';
import { unexplained } from './account.ts';
import type { Epochs } from './epochs.ts';
import type { LedgerStream, StreamAccount } from './ledger-stream.ts';

/** What is the same in every entry of an attach. */
export interface LedgerIdentity {
  readonly hostId: string;
  readonly hostName: string | null;
  readonly bootId: string;
  /** Microseconds since boot. */
  readonly attachId: number;
}

export interface LedgerOptions {
  readonly epochs: Epochs;
  /** The streams that have an account through the end of an epoch, always in the same objects. */
  readonly streamsOf: (cut: EpochCut) => readonly LedgerStream[];
  readonly identity: LedgerIdentity;
  readonly wallClock: WallClock;
  readonly clock: Clock;
  readonly log: Log;
  /** Between two entries of a stream when nothing happens, milliseconds. */
  readonly intervalMillis: number;
  /** Resolves when the entries, of different streams, are acknowledged by the broker. */
  readonly publish: (entries: readonly LedgerEntry[]) => Promise<void>;
}

/** A new loss or state is told at once, but not more often than this (milliseconds). */
const soonest = 1_000;
/** How long an entry waits for the next cut before it is about the newest one that there is (milliseconds). */
const cutWithin = 2_000;
/** How long an entry waits for the records of its epoch to be acknowledged before it says that they are pending. */
const closeWithin = 1_000;
/** First pause between two looks; each is twice the one before (milliseconds). */
const closePoll = 20;

/** How far the account of one stream has been told. */
interface Line {
  readonly stream: LedgerStream;
  /** The epoch that a stream holds until it is closed. */
  held: EpochCut | undefined;
  lowWatermark: number;
  last: LedgerEntry | undefined;
  /** As in StreamAccount, of the last entry. */
  impaired: number;
}

interface Told {
  readonly cut: EpochCut;
  readonly account: StreamAccount;
}

/**
 * Publishes, at regular times, what became of everything through the end of an epoch: an entry for each stream, those
 * of one time together. A stream that holds epochs has one open at most: until its records are acknowledged no later
 * one is taken, and the entry after that covers a longer time.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  /** By name of the stream. */
  readonly #lines = new Map<string, Line>();
  /** Of an earlier process, by name of the stream. */
  readonly #resumed = new Map<string, LedgerEntry>();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Goes on from the newest entries of an earlier process, those of the same attach. */
  resume(entries: readonly LedgerEntry[]): void {
    const { bootId, attachId } = this.#options.identity;
    for (const entry of entries) {
      if (entry.boot_id === bootId && entry.attach_id === attachId) this.#resumed.set(entry.stream_name, entry);
    }
  }

  /** The newest entry of each stream, of an earlier process until this one has told its own. */
  get newest(): readonly LedgerEntry[] {
    const told = [...this.#lines.values()].flatMap(({ last }) => last ?? []);
    return [...new Map([...this.#resumed, ...told.map((entry) => [entry.stream_name, entry] as const)]).values()];
  }

  /** Publishes entries at once, then each interval and at every loss or change of state, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { epochs, clock, intervalMillis } = this.#options;
    await unlessAborted(epochs.advance(), signal);
    while (!signal.aborted) {
      await this.#tell(this.#follow(), { signal });
      const next = clock.elapsedMillis() + intervalMillis;
      // News may take the time that was left.
      for (let left = intervalMillis; left > 0; left = next - clock.elapsedMillis()) {
        await clock.sleep(Math.min(soonest, left), signal);
        if (signal.aborted) return;
        if (clock.elapsedMillis() < next) await this.#tellNews(signal);
      }
      if (this.#follow().some(({ held }) => held === undefined)) await this.#nextCut(signal);
    }
  }

  /**
   * The last entries of this process. What an earlier epoch still had pending is told before.
   * @param state `stopped` when the capture has ended
   * @returns true when the account of every stream is closed
   */
  async finish(state: LedgerState | undefined, signal: AbortSignal): Promise<boolean> {
    const holding = this.#follow().filter(({ held }) => held !== undefined);
    if (holding.length > 0) await this.#tell(holding, { signal });
    if ((await unlessAborted(this.#options.epochs.advance(), signal)) === undefined) return false;
    const lines = this.#follow();
    const entries = await this.#tell(lines, { state, signal });
    return entries.length === lines.length && entries.every(({ closed }) => closed);
  }

  /** The lines of all streams, with those that have appeared. */
  #follow(): readonly Line[] {
    const { epochs, streamsOf } = this.#options;
    for (const stream of epochs.newest === undefined ? [] : streamsOf(epochs.newest)) {
      if (this.#lines.has(stream.name)) continue;
      const lowWatermark = this.#resumed.get(stream.name)?.low_watermark ?? 0;
      this.#lines.set(stream.name, { stream, held: undefined, lowWatermark, last: undefined, impaired: 0 });
    }
    return [...this.#lines.values()];
  }

  /** Entries of the streams that have something new to tell, as far as a cut allows it. */
  async #tellNews(signal: AbortSignal): Promise<void> {
    const lines = this.#follow().filter(
      ({ stream, last, impaired }) => stream.impaired() > impaired || stream.deliveryState() !== last?.state,
    );
    if (lines.length === 0) return;
    if (lines.some(({ held }) => held === undefined)) await this.#nextCut(signal);
    await this.#tell(lines, { signal, onlyNews: true });
  }

  /** Waits for the next cut, but not for long: while packets wait for their acknowledgement none is made. */
  async #nextCut(signal: AbortSignal): Promise<void> {
    const { epochs, clock } = this.#options;
    const waited = new AbortController();
    const patience = clock.sleep(cutWithin, AbortSignal.any([signal, waited.signal]));
    try {
      await Promise.race([epochs.next(), patience]);
    } finally {
      waited.abort('waited'); // without a reason it makes an exception with its stack
    }
  }

  async #tell(
    lines: readonly Line[],
    { state, signal, onlyNews = false }: { state?: LedgerState | undefined; signal: AbortSignal; onlyNews?: boolean },
  ): Promise<readonly LedgerEntry[]> {
    // Nothing comes after the end of a capture: its entry waits until it is closed, or until nobody wants to wait longer.
    const told = await this.#settle(lines, signal, state === 'stopped' ? Number.POSITIVE_INFINITY : closeWithin);
    const entries: LedgerEntry[] = [];
    for (const [line, { cut, account }] of told) {
      const { last } = line;
      const entry = this.#compose(line, cut, account, state);
      line.last = entry;
      line.lowWatermark = entry.low_watermark;
      line.impaired = account.impaired;
      line.held = entry.closed || !line.stream.holdsEpoch ? undefined : cut;
      if (onlyNews && last !== undefined && tellsTheSame(last, entry)) continue;
      entries.push(entry);
      if (entry.unexplained !== 0) {
        const { stream_name: stream, epoch, unexplained } = entry;
        this.#options.log.error({ stream, epoch, unexplained }, 'the account does not balance');
      }
    }
    if (entries.length > 0) await this.#options.publish(entries);
    return entries;
  }

  /**
   * The accounts once they are closed, or as they stand after a while; none of a stream that cannot tell its own.
   * @param patience milliseconds
   */
  async #settle(lines: readonly Line[], signal: AbortSignal, patience: number): Promise<ReadonlyMap<Line, Told>> {
    const { clock } = this.#options;
    const told = new Map<Line, Told>();
    const deadline = clock.elapsedMillis() + patience;
    for (let pause = closePoll; ; pause = Math.min(2 * pause, closeWithin)) {
      for (const line of lines) {
        if (told.get(line)?.account.closed) continue;
        const now = this.#account(line);
        if (now !== undefined) told.set(line, now);
      }
      const closed = lines.every((line) => told.get(line)?.account.closed);
      if (closed || clock.elapsedMillis() >= deadline || signal.aborted) return told;
      await clock.sleep(pause, signal);
    }
  }

  #account(line: Line): Told | undefined {
    const { newest } = this.#options.epochs;
    if (newest === undefined) return undefined;
    if (line.stream.holdsEpoch) line.held ??= newest;
    const cut = line.held ?? newest;
    const account = line.stream.account(cut);
    return account && { cut, account };
  }

  #compose(line: Line, cut: EpochCut, account: StreamAccount, given: LedgerState | undefined): LedgerEntry {
    const { identity, wallClock } = this.#options;
    const state = given ?? (account.impaired > line.impaired ? 'degraded' : line.stream.deliveryState());
    // Nothing of a closed epoch changes any more; only the offsets have gone on with those after it.
    if (line.last?.closed && line.last.epoch === cut.epoch) return { ...line.last, state };
    const wallMillis = (bootMicros: number) => Math.floor((bootMicros + wallClock.offsetAt(bootMicros)) / 1000);
    const { closed } = account;
    return {
      host_id: identity.hostId,
      host_name: identity.hostName,
      boot_id: identity.bootId,
      attach_id: identity.attachId,
      epoch: cut.epoch,
      stream_name: line.stream.name,
      state,
      interval_start: wallMillis(cut.beginBootMicros),
      interval_end: wallMillis(cut.endBootMicros),
      low_watermark: closed ? account.lowWatermark : line.lowWatermark,
      closed,
      seen: account.seen,
      published: account.published,
      pending: account.pending,
      filtered: { ...account.filtered },
      lost: { ...account.lost },
      unexplained: unexplained(account),
      unobserved_micros: account.unobservedMicros,
      destination: account.destination,
      sidecar_version: version,
      program_tag: account.programTag,
    };
  }
}

/** Whether nobody learns anything from the second one: without a new cut a closed account stays as it is. */
function tellsTheSame(before: LedgerEntry, after: LedgerEntry): boolean {
  return (
    before.epoch === after.epoch &&
    before.closed === after.closed &&
    before.pending === after.pending &&
    before.state === after.state
  );
}

/** What the promise brings, or undefined as soon as the signal aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
