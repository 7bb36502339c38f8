import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Kubernetes } from './kubernetes.ts';
import { type RedactionOptions, Redactor } from './redact.ts';
import { UserNames } from './users.ts';
import { Workloads } from './workload.ts';

/** What user space knows of an exec besides what the kernel recorded, and what of that it may publish. */
export interface Enrichment {
  readonly redactor: Pick<Redactor, 'concerns' | 'text' | 'args'>;
  readonly users: Pick<UserNames, 'of'>;
  readonly workloads: Pick<Workloads, 'of'>;
}

export interface OpenEnrichment extends Enrichment {
  /** Ends following what is on this host. */
  close(): void;
}

export interface EnrichmentOptions {
  readonly redaction: RedactionOptions;
  readonly clock: Clock;
  readonly log: Log;
}

/** Begins to follow what is on this host. */
export function openEnrichment({ redaction, clock, log }: EnrichmentOptions): OpenEnrichment {
  const kubernetes = new Kubernetes({ clock, log });
  void kubernetes.read();
  return {
    redactor: new Redactor(redaction),
    users: new UserNames({ clock, log }),
    workloads: new Workloads(kubernetes),
    close: () => kubernetes.close(),
  };
}
