import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TopicRecord } from './kcat.ts';

const tools = join(import.meta.dirname, '../../build/Release');

export interface StormOptions {
  readonly count: number;
  /** Processes that spawn at the same time; one for each core by default. */
  readonly workers?: number;
  /** Spawns a second; as many as the machine can when absent. */
  readonly rate?: number;
}

export interface Storm {
  /** Each spawned program had one argument of its own. */
  readonly tokens: ReadonlySet<string>;
  /** Resolves when every program was spawned and has ended. */
  readonly ended: Promise<void>;
}

let storms = 0;

/** Spawns a small static program many times, by a generator that is no part of the project's program. */
export function startStorm({ count, workers = 2, rate }: StormOptions): Storm {
  const prefix = `storm-${process.pid}-${storms++}`;
  const words = [
    join(tools, 'noop'),
    String(count),
    String(workers),
    prefix,
    ...(rate === undefined ? [] : [String(rate)]),
  ];
  const child = spawn(join(tools, 'spawn_storm'), words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`spawn_storm ended with ${code}`);
  });
  return { tokens: new Set(Array.from({ length: count }, (_, n) => `${prefix}-${n}`)), ended };
}

const token = /storm-\d+-\d+-\d+/g;

/** Tokens in the raw bytes of a record, without any code of ours that reads Avro. */
export function tokensIn(record: TopicRecord): string[] {
  return record.value.toString('latin1').match(token) ?? [];
}

/** What a generator did against what a topic holds. */
export function compare(tokens: ReadonlySet<string>, records: readonly TopicRecord[]) {
  const found = new Map<string, number>();
  for (const record of records)
    for (const name of new Set(tokensIn(record))) if (tokens.has(name)) found.set(name, (found.get(name) ?? 0) + 1);
  return {
    missing: [...tokens].filter((name) => !found.has(name)),
    found: found.size,
    repeated: [...found.values()].filter((times) => times > 1).length,
  };
}

/** Sequence numbers between the first and the last that no record has. */
export function holesIn(records: readonly TopicRecord[]): number[] {
  const seqs = [...new Set(records.map((record) => Number(record.headers.seq)))].sort((a, b) => a - b);
  const holes: number[] = [];
  for (let i = 1; i < seqs.length; i += 1)
    for (let seq = (seqs[i - 1] as number) + 1; seq < (seqs[i] as number); seq += 1) holes.push(seq);
  return holes;
}

/** Records that share (boot_id, seq), grouped; only those with more than one. */
export function repeatsIn(records: readonly TopicRecord[]): TopicRecord[][] {
  const groups = Map.groupBy(records, ({ headers }) => `${headers.boot_id}:${headers.seq}`);
  return [...groups.values()].filter((group) => group.length > 1);
}
