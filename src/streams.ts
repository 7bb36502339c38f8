/** Streams that `tail` can print. */
export const streamNames = ['exec', 'ledger'] as const;

export type StreamName = (typeof streamNames)[number];
