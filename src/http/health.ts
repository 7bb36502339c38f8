/** What the sidecar is doing at this moment; who operates it asks for nothing else here. */
export interface Health {
  /** The kernel side is attached and this process reads what it captures. */
  readonly capturing: boolean;
  /** It was told to end. */
  readonly stopping: boolean;
  /** One for each topic that is written to. */
  readonly deliveries: readonly DeliveryHealth[];
  readonly spool: SpoolHealth;
}

/** What waits on disk. */
export interface SpoolHealth {
  /** `full`, `no_space` and `failed`: it takes nothing more. */
  readonly state: 'empty' | 'holding' | 'full' | 'no_space' | 'failed';
  readonly directory: string;
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  readonly reason?: string | undefined;
}

export interface DeliveryHealth {
  readonly topic: string;
  readonly state: 'idle' | 'sending' | 'retrying' | 'throttled';
  /** When it entered the state, milliseconds since 1970. */
  readonly since: number;
  /** Why it retries or is throttled. */
  readonly reason?: string | undefined;
}

/** The body of `/readyz`. */
export interface Readiness {
  readonly ready: boolean;
  readonly capturing: boolean;
  /** Why it is not ready: one sentence for everything that is in the way. */
  readonly reasons: readonly string[];
  /** Only while there is something to say of it. */
  readonly spool?: SpoolHealth;
}

/**
 * A request that nobody has answered for so long (milliseconds) is an outage already: the attempt itself fails only
 * after the delivery's own time-out.
 */
const longestSend = 5_000;

/**
 * Ready is who captures and has the broker's acknowledgements. That is told from the records themselves, not from a
 * probe: a broker that answers a probe may still refuse what is published. On a host where nothing happens the ledger's
 * entries are what finds an outage.
 */
export function readinessOf({ capturing, stopping, deliveries, spool }: Health, nowMillis: number): Readiness {
  const reasons: string[] = [];
  if (stopping) reasons.push('the sidecar is stopping');
  else if (!capturing) reasons.push('nothing is captured: the programs are no longer attached');
  for (const delivery of deliveries) {
    const reason = outageOf(delivery, nowMillis);
    if (reason !== undefined) reasons.push(reason);
  }
  if (spool.state in spoolTrouble) {
    const what = spoolTrouble[spool.state as keyof typeof spoolTrouble];
    reasons.push(`${spool.directory}: ${what}; the kernel buffers${spool.reason ? `; ${spool.reason}` : ''}`);
  }
  return { ready: reasons.length === 0, capturing, reasons, ...(spool.state === 'empty' ? {} : { spool }) };
}

const spoolTrouble = {
  full: 'the spool is full',
  no_space: 'no_space: the disk of the spool is full',
  failed: 'the spool cannot be written',
} as const;

function outageOf({ topic, state, since, reason }: DeliveryHealth, nowMillis: number): string | undefined {
  const away = state === 'retrying' || (state === 'sending' && nowMillis - since > longestSend);
  if (!away) return undefined;
  const what = `${topic}: no acknowledgement since ${new Date(since).toISOString()}; the kernel buffers`;
  return reason === undefined ? what : `${what}; ${reason}`;
}
