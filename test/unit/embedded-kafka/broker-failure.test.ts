import { expect, test } from 'vitest';
import { explainBrokerFailure } from '../../../src/embedded-kafka/broker-failure.ts';

const failures: [string, string][] = [
  ['setpriv: failed to execute /opt/java: No such file or directory', 'there is no Java runtime (/opt/java)'],
  ['setpriv: failed to execute java: Permission denied', 'java does not run: Permission denied'],
  [
    'Exception in thread "main" java.lang.UnsupportedClassVersionError: kafka/Kafka has been compiled by a more recent ' +
      'version of the Java Runtime (class file version 61.0), this version of the Java Runtime only recognizes class ' +
      'file versions up to 55.0',
    'Java 11 is too old, Kafka needs 17 or newer',
  ],
  [
    'Error: Could not find or load main class kafka.Kafka\nCaused by: java.lang.ClassNotFoundException: kafka.Kafka',
    "Kafka's libraries are incomplete (no kafka.Kafka)",
  ],
  [
    'org.apache.kafka.common.KafkaException: Failed to acquire lock on file .lock in /d/data. A Kafka instance in ' +
      'another process or thread is using this directory.\n\tat kafka.log.LogManager.lockLogDirs(LogManager.scala:280)',
    'another broker uses the data directory /d/data',
  ],
  [
    'org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.',
    '127.0.0.1:9092 is taken',
  ],
  ['java.io.IOException: No space left on device', 'the disk is full'],
  [
    'java.nio.file.AccessDeniedException: /d/data/.lock',
    'the data directory is not writable (AccessDeniedException: /d/data/.lock)',
  ],
  ['INFO started\nERROR the quorum is odd\n\tat kafka.Odd.method(Odd.java:1)\nINFO ended', 'ERROR the quorum is odd'],
  [
    'ERROR Exiting\norg.example.Outer: Exception\n\tat a.B.c(B.java:1)\nCaused by: org.example.InnerException: why\nbye',
    'Caused by: org.example.InnerException: why',
  ],
  ['only this line', 'only this line'],
  ['', 'it wrote nothing'],
];

test.each(failures)('%s', (output, reason) => {
  expect(explainBrokerFailure(output).reason).toBe(reason);
});
