import { takeTurn } from './turn.ts';

/**
 * For files whose storms fill rings, or that count exactly what a small ring loses: every capture sees the execs of the
 * whole host. Importing this waits until no other file that does so runs, and lasts as long as the file; one that does not
 * may run beside.
 */
await takeTurn('storm');
