export interface BrokerFailure {
  readonly reason: string;
  readonly remedy?: string;
}

const setUp = 'run `npm run setup`';

/** Class files of Java N have version N + 44 since Java 1.2 (JVM specification, section 4.1). */
const classFileOffset = 44;

interface Symptom {
  readonly pattern: RegExp;
  explain(match: RegExpExecArray): BrokerFailure;
}

/** In order: the first that is found is the cause, later ones are often its consequences. */
const symptoms: readonly Symptom[] = [
  {
    pattern: /failed to execute (\S+): No such file or directory/,
    explain: ([, command]) => ({ reason: `there is no Java runtime (${command})`, remedy: setUp }),
  },
  {
    pattern: /failed to execute (\S+): (.+)/,
    explain: ([, command, why]) => ({ reason: `${command} does not run: ${why}` }),
  },
  {
    pattern: /only recognizes class file versions up to (\d+)\.0/,
    explain: ([, version]) => ({
      reason: `Java ${Number(version) - classFileOffset} is too old, Kafka needs 17 or newer`,
      remedy: setUp,
    }),
  },
  {
    pattern: /Could not find or load main class (\S+)/,
    explain: ([, name]) => ({ reason: `Kafka's libraries are incomplete (no ${name})`, remedy: setUp }),
  },
  {
    pattern: /Failed to acquire lock on file \.lock in (\S+?)\.? /,
    explain: ([, path]) => ({
      reason: `another broker uses the data directory ${path}`,
      remedy: 'stop it or give another directory',
    }),
  },
  {
    pattern: /failed to bind to (?:\S*\/)?([^\s/]+:\d+): Address already in use/,
    explain: ([, address]) => ({ reason: `${address} is taken`, remedy: 'give another port' }),
  },
  {
    pattern: /No space left on device/,
    explain: () => ({ reason: 'the disk is full' }),
  },
  {
    pattern: /(?:AccessDeniedException|Permission denied|Read-only file system)[^\n]*/,
    explain: ([line]) => ({ reason: `the data directory is not writable (${line})` }),
  },
  {
    pattern: /OutOfMemoryError[^\n]*|insufficient memory for the Java Runtime[^\n]*/,
    explain: ([line]) => ({ reason: `it ran out of memory (${line})`, remedy: 'give it a larger heap' }),
  },
];

/** Finds in what a broker wrote before it ended why it did not start. */
export function explainBrokerFailure(output: string): BrokerFailure {
  for (const { pattern, explain } of symptoms) {
    const match = pattern.exec(output);
    if (match !== null) return explain(match);
  }
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.findLast((line) => /\b(?:ERROR|FATAL)\b|Exception|^Error/.test(line) && !/^\s+at /.test(line));
  return { reason: (telling ?? lines.at(-1) ?? 'it wrote nothing').trim() };
}
