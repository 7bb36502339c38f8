import { isDeepStrictEqual } from 'node:util';
import type { Clock } from './clock.ts';
import type { RunConfig } from './config/types.ts';
import { type HostFacts, readHostFacts } from './enrich/host.ts';
import { type ExecFilters, ruleNames } from './exec-filters.ts';
import type { Inlets } from './inlets.ts';
import { prefixText } from './ip-prefix.ts';
import type { HostInfo } from './schemas/host-info.ts';
import { version } from './version.ts';

export interface HostRecordOptions {
  readonly config: Pick<RunConfig, 'configHash' | 'execFilters' | 'execRingBytes' | 'labels' | 'packets' | 'redaction'>;
  readonly inlets: Pick<Inlets, 'capture' | 'identity' | 'packets'>;
  readonly clock: Pick<Clock, 'nowMillis'>;
  /** Resolves when the record is acknowledged. */
  readonly publish: (info: HostInfo) => Promise<void>;
  /** Replaced in tests. */
  readonly facts?: () => HostFacts;
}

/** Tells the fleet's list of hosts of this one: at the start, and when something is not as it was told. */
export class HostRecord {
  readonly #options: HostRecordOptions;
  #filters: ExecFilters;
  #told: Omit<HostInfo, 'event_time'> | undefined;
  #telling: Promise<void> | undefined;

  constructor(options: HostRecordOptions) {
    this.#options = options;
    this.#filters = options.config.execFilters;
  }

  /** From the next look on. */
  set filters(filters: ExecFilters) {
    this.#filters = filters;
  }

  /** Publishes what the host is when that is new; one record at a time, a call meanwhile does nothing. */
  async tell(): Promise<void> {
    if (this.#telling !== undefined) return;
    const info = this.#compose();
    if (isDeepStrictEqual(info, this.#told)) return;
    this.#telling = this.#options.publish({ ...info, event_time: this.#options.clock.nowMillis() });
    try {
      await this.#telling;
      this.#told = info;
    } finally {
      this.#telling = undefined;
    }
  }

  #compose(): Omit<HostInfo, 'event_time'> {
    const { config, inlets, facts = readHostFacts } = this.#options;
    const { identity, capture, packets } = inlets;
    const { osName, osVersion, kernelRelease, architecture, addresses } = facts();
    const { exit } = capture;
    return {
      host_id: identity.hostId,
      host_name: identity.hostName,
      boot_id: identity.bootId,
      os_name: osName,
      os_version: osVersion,
      kernel_release: kernelRelease,
      architecture,
      addresses: [...addresses],
      labels: { ...config.labels },
      sidecar_version: version,
      config_hash: config.configHash,
      filters: [
        ...ruleNames(this.#filters),
        ...(config.packets?.excluded ?? []).map((prefix) => `exclude_ip:${prefixText(prefix)}`),
      ],
      redaction: [
        ...(config.redaction.defaults ? ['defaults'] : []),
        ...config.redaction.patterns.map(({ source }) => source),
      ],
      program_tags: {
        ...(config.execRingBytes === undefined ? {} : { exec: capture.exec.status().programHash }),
        ...(exit === undefined ? {} : { exit: exit.status().programHash }),
        ...(packets === undefined ? {} : { packets: packets.capture.status().programHash }),
      },
    };
  }
}
