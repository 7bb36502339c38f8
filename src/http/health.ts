/** What the sidecar is doing at this moment; who operates it asks for nothing else here. */
export interface Health {
  /** The kernel side is attached and this process reads what it captures. */
  readonly capturing: boolean;
  /** It was told to end. */
  readonly stopping: boolean;
  /** One for each topic that is written to. */
  readonly deliveries: readonly DeliveryHealth[];
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
export function readinessOf({ capturing, stopping, deliveries }: Health, nowMillis: number): Readiness {
  const reasons: string[] = [];
  if (stopping) reasons.push('the sidecar is stopping');
  else if (!capturing) reasons.push('nothing is captured: the programs are no longer attached');
  for (const delivery of deliveries) {
    const reason = outageOf(delivery, nowMillis);
    if (reason !== undefined) reasons.push(reason);
  }
  return { ready: reasons.length === 0, capturing, reasons };
}

function outageOf({ topic, state, since, reason }: DeliveryHealth, nowMillis: number): string | undefined {
  const away = state === 'retrying' || (state === 'sending' && nowMillis - since > longestSend);
  if (!away) return undefined;
  const what = `${topic}: no acknowledgement since ${new Date(since).toISOString()}; the kernel buffers`;
  return reason === undefined ? what : `${what}; ${reason}`;
}
