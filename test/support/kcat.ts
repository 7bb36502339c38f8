import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface TopicRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer;
  readonly value: Buffer;
  readonly headers: Record<string, string>;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

const execute = promisify(execFile);

/** Lengths first, then the bytes themselves: values are binary and hold any separator. Headers (%h) end with the line. */
const format = '%p %o %T %K %S %h\\n%k%s\\n';

/**
 * What a topic holds now, read by a client that shares no code with ours (librdkafka). Needs kcat. A missing key or
 * value reads as empty; a header's value must hold neither a comma nor a line end, because kcat escapes none.
 */
export async function readTopic(
  brokers: string,
  topic: string,
  { partition }: { partition?: number } = {},
): Promise<TopicRecord[]> {
  const which = partition === undefined ? [] : ['-p', String(partition)];
  const { stdout } = await execute(
    'kcat',
    ['-C', '-q', '-e', '-b', brokers, '-t', topic, ...which, '-o', 'beginning', '-f', format],
    { encoding: 'buffer', maxBuffer: 1024 ** 3 },
  );
  return parseRecords(stdout);
}

export function parseRecords(output: Buffer): TopicRecord[] {
  const records: TopicRecord[] = [];
  let position = 0;
  while (position < output.length) {
    const lineEnd = output.indexOf('\n', position);
    if (lineEnd < 0) throw new Error(`kcat ended in the middle of a record, at byte ${position}`);
    const [partition, offset, timestamp, keyLength, valueLength, ...headers] = output
      .toString('utf8', position, lineEnd)
      .split(' ');
    const keyStart = lineEnd + 1;
    const valueStart = keyStart + Math.max(0, Number(keyLength));
    const valueEnd = valueStart + Math.max(0, Number(valueLength));
    if (output[valueEnd] !== 0x0a) throw new Error(`kcat's output is not aligned at byte ${valueEnd}`);
    records.push({
      partition: Number(partition),
      offset: Number(offset),
      key: output.subarray(keyStart, valueStart),
      value: output.subarray(valueStart, valueEnd),
      headers: parseHeaders(headers.join(' ')),
      timestamp: Number(timestamp),
    });
    position = valueEnd + 1;
  }
  return records;
}

function parseHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const header of text === '' ? [] : text.split(',')) {
    const equals = header.indexOf('=');
    headers[header.slice(0, equals)] = header.slice(equals + 1);
  }
  return headers;
}
