import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { Kubernetes } from './kubernetes.ts';
import { Parents, type ProgramImage } from './parents.ts';
import { type RedactionOptions, Redactor } from './redact.ts';
import { RunningPrograms } from './running-programs.ts';
import { UserNames } from './users.ts';
import { Workloads } from './workload.ts';

/** What user space knows of an exec besides what the kernel recorded, and what of that it may publish. */
export interface Enrichment {
  readonly redactor: Pick<Redactor, 'triggers' | 'hasPatterns' | 'concerns' | 'text' | 'args' | 'environment'>;
  readonly users: Pick<UserNames, 'of' | 'version'>;
  readonly workloads: Pick<Workloads, 'of'>;
  readonly parents: Pick<Parents, 'programs' | 'of' | 'remember' | 'noteRemembered'>;
}

export interface OpenEnrichment extends Enrichment {
  /** Ends following what is on this host. */
  close(): void;
}

export interface EnrichmentOptions {
  /** As in Parents. */
  readonly imageOf: (exe: string) => ProgramImage;
  readonly redaction: RedactionOptions;
  readonly clock: Clock;
  readonly log: Log;
}

/** Begins to follow what is on this host. */
export function openEnrichment({ imageOf, redaction, clock, log }: EnrichmentOptions): OpenEnrichment {
  const kubernetes = new Kubernetes({ clock, log });
  void kubernetes.read();
  const running = new RunningPrograms();
  running.read().catch((error) => {
    log.warn({ reason: reasonOf(error) }, 'running programs cannot be read; records of their children lack parent_exe');
  });
  return {
    redactor: new Redactor(redaction),
    users: new UserNames({ clock, log }),
    workloads: new Workloads(kubernetes),
    parents: new Parents(running, imageOf),
    close: () => kubernetes.close(),
  };
}
