import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { type DeadLetters, stampOf } from '../producers/dead-letters.ts';
import type { TargetTopic } from './target-topic.ts';

/**
 * Writes what a topic of documents does not take to a topic of a user's: the document as it is, with the refusal in
 * headers. One that is too large there too is replaced by its id, size and hash.
 */
export function createDocumentLetters(letters: TargetTopic, clock: Clock): DeadLetters {
  return {
    async take({ topic, record, refusal }, signal) {
      const { key, value } = record;
      const { timestamp, headers } = stampOf(record, refusal, clock.nowMillis());
      const letter = {
        key,
        value,
        timestamp,
        headers: { ...headers, refused_by: topic, error_code: refusal.code, reason: refusal.reason },
      };
      const sha256 = createHash('sha256').update(value).digest('hex');
      const summary = JSON.stringify({ id: headers.id, value_size: value.length, value_sha256: sha256 });
      await letters.writeOne(letter, { ...letter, value: Buffer.from(summary) }, signal);
    },
  };
}
