/** Streams that `tail` can print. */
export const streamNames = ['exec', 'exit', 'packets', 'ledger'] as const;

export type StreamName = (typeof streamNames)[number];
