import type { SecretTriggers } from '../kernel/record-writer.ts';
import { programRules, schemeTrigger, textRules } from './secret-rules.ts';

/**
 * Whether a text may hold a secret: a look at every four of its characters in a row. It may say yes for nothing; where it
 * says no, no rule finds anything. native/secrets.h does the same with bytes, where nearly all argument vectors end without
 * becoming text.
 */
export function maySecretsBeInText(text: string): boolean {
  const { slots, multiplier } = secretTriggers;
  let last = 0;
  for (let at = 0; at < text.length; at += 1) {
    // Triggers are ASCII: what lies beyond it only has to break them.
    last = (last << 8) | Math.min(text.charCodeAt(at), 0x80) | fold;
    if (slots[Math.imul(last, multiplier) >>> shift] !== last) continue;
    // Addresses are common, those with a password are not.
    if (last >> 8 !== secretTriggers.scheme || text.includes('@', at)) return true;
  }
  return false;
}

/** Makes capital letters small; whatever else it makes alike is told apart by the rules. */
const fold = 0x20;
const shift = 32 - 13;

/** What the texts are looked through for. */
export const secretTriggers: SecretTriggers = {
  ...perfectHash([...new Set([...textRules, ...programRules].flatMap(({ triggers }) => triggers.flatMap(gramsOf)))]),
  shift,
  scheme: gramOf(schemeTrigger),
};

function gramOf(trigger: string): number {
  return Buffer.from(trigger, 'latin1').reduce((gram, byte) => (gram << 8) | byte | fold, 0);
}

function gramsOf(trigger: string): number[] {
  if (trigger !== schemeTrigger) return [gramOf(trigger)];
  return Array.from({ length: 256 }, (_, byte) => gramOf(trigger + String.fromCharCode(byte)));
}

/** A table in which each has a slot of its own, so that one comparison decides. */
function perfectHash(values: readonly number[]): { readonly slots: Int32Array; readonly multiplier: number } {
  for (let multiplier = 0x9e3779b1; ; multiplier = (multiplier + 2) | 0) {
    const slots = new Int32Array(1 << (32 - shift));
    const fits = values.every((value) => {
      const slot = Math.imul(value, multiplier) >>> shift;
      if (slots[slot] !== 0) return false;
      slots[slot] = value;
      return true;
    });
    if (fits) return { slots, multiplier };
  }
}
