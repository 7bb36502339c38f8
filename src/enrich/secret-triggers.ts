import { programRules, schemeTrigger, textRules } from './secret-rules.ts';

/**
 * Whether bytes may hold a secret: a look at every four of them in a row, in about a nanosecond each. Nearly all argument
 * vectors end here, without becoming text. It may say yes for nothing; where it says no, no rule finds anything.
 */
export function maySecretsBeIn(bytes: Uint8Array, begin: number, end: number): boolean {
  const { slots, multiplier } = table;
  let last = 0;
  for (let at = begin; at < end; at += 1) {
    last = (last << 8) | (bytes[at] as number) | fold;
    if (slots[Math.imul(last, multiplier) >>> shift] !== last) continue;
    // Addresses are common, those with a password are not.
    if (last >> 8 !== scheme || bytes.subarray(at, end).includes(atSign)) return true;
  }
  return false;
}

/** The same of a text. */
export function maySecretsBeInText(text: string): boolean {
  const { slots, multiplier } = table;
  let last = 0;
  for (let at = 0; at < text.length; at += 1) {
    // Triggers are ASCII: what lies beyond it only has to break them.
    last = (last << 8) | Math.min(text.charCodeAt(at), 0x80) | fold;
    if (slots[Math.imul(last, multiplier) >>> shift] !== last) continue;
    if (last >> 8 !== scheme || text.includes('@', at)) return true;
  }
  return false;
}

/** Makes capital letters small; whatever else it makes alike is told apart by the rules. */
const fold = 0x20;
const atSign = 0x40;
const shift = 32 - 13;
const scheme = gramOf(schemeTrigger);
const table = perfectHash([
  ...new Set([...textRules, ...programRules].flatMap(({ triggers }) => triggers.flatMap(gramsOf))),
]);

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
