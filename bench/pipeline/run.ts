import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../harness/children.ts';
import { atEnd } from '../harness/cleanup.ts';
import { needCapture } from '../harness/sidecar.ts';
import type { PipelineOptions, PipelineResult } from './process.ts';
import { recordTypical, saveRecording } from './records.ts';

const program = join(import.meta.dirname, 'process.ts');

let recorded: Promise<string> | undefined;

/** A file with real records; made once a bench. */
export function typicalRecording(): Promise<string> {
  recorded ??= (async () => {
    needCapture();
    const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-'));
    atEnd(() => rmSync(directory, { recursive: true, force: true }));
    const path = join(directory, 'recording.json');
    saveRecording(await recordTypical(), path);
    return path;
  })();
  return recorded;
}

/** @param before words before the program, such as `taskset -c 0` */
export async function runPipeline(options: PipelineOptions, before: readonly string[] = []): Promise<PipelineResult> {
  const [command, ...args] = [...before, process.execPath, program, JSON.stringify(options)];
  await using child = new Child(command as string, args);
  return JSON.parse(await child.succeed()) as PipelineResult;
}
