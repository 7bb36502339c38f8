import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** What the live page shows. */
export interface LivePage {
  /**
   * @param mark of an earlier view: of what comes in a stream only what has come since then
   * @returns undefined when there is nothing to show any more
   */
  view(mark?: number): LiveView | undefined;
}

export interface LiveView {
  readonly mark: number;
  /** One line. */
  json(withArgv: boolean): string;
}

/** Between two messages, milliseconds. */
const interval = 1_000;
/** Who has not taken a message for so long is given up (milliseconds). */
const patience = 30_000;
const clientLimit = 32;

interface Client {
  readonly response: ServerResponse;
  readonly withArgv: boolean;
  /** Of the view that it got last. */
  mark: number;
  /** When it last had room for a message, by `Clock.elapsedMillis`. */
  tookAt: number;
}

/**
 * Server-sent events: a client gets the state at once, then every second. One that has not taken the message before is
 * passed over, and the next one holds what came since its last, so what waits for a client is one message at most.
 * Without clients nothing runs.
 */
export class LiveEvents implements Disposable {
  readonly #live: LivePage;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #clients = new Set<Client>();
  readonly #ended = new AbortController();
  #running = false;

  constructor(live: LivePage, clock: Clock, log: Log) {
    this.#live = live;
    this.#clock = clock;
    this.#log = log;
  }

  /** No more clients are taken: each has its work. */
  get isFull(): boolean {
    return this.#clients.size >= clientLimit;
  }

  /** Sends messages until the client leaves, beginning with this view. */
  serve(response: ServerResponse, view: LiveView, withArgv: boolean): void {
    const client = { response, withArgv, mark: view.mark, tookAt: this.#clock.elapsedMillis() };
    this.#clients.add(client);
    response.on('close', () => this.#clients.delete(client));
    response.write(messageOf(view, withArgv));
    if (!this.#running) void this.#run();
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#giveUp();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#clients.size > 0 && !this.#ended.signal.aborted) {
      await this.#clock.sleep(interval, this.#ended.signal);
      try {
        this.#tell();
      } catch (error) {
        // A page that cannot be shown must not end the sidecar.
        this.#log.error({ reason: reasonOf(error) }, 'the live page has failed');
        this.#giveUp();
      }
    }
    this.#running = false;
  }

  #giveUp(): void {
    for (const { response } of this.#clients) response.destroy();
  }

  #tell(): void {
    const now = this.#clock.elapsedMillis();
    const views = new Map<number, LiveView | undefined>();
    const messages = new Map<string, string>();
    for (const client of this.#clients) {
      const { response, withArgv, mark } = client;
      if (response.writableNeedDrain) {
        if (now - client.tookAt > patience) response.destroy();
        continue;
      }
      const view = views.get(mark) ?? this.#live.view(mark);
      if (view === undefined) {
        this.#giveUp();
        return;
      }
      views.set(mark, view);
      // Most clients are alike.
      const kind = `${mark} ${withArgv}`;
      const message = messages.get(kind) ?? messageOf(view, withArgv);
      messages.set(kind, message);
      client.mark = view.mark;
      client.tookAt = now;
      response.write(message);
    }
  }
}

function messageOf(view: LiveView, withArgv: boolean): string {
  return `event: state\ndata: ${view.json(withArgv)}\n\n`;
}
