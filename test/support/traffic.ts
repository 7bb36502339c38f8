import { setTimeout as sleep } from 'node:timers/promises';
import { ethernet, etherType, icmp, ipv4, ipv6Chain, ports, protocol, type Run } from './frames.ts';
import type { VethPair } from './network.ts';
import { add, nameOf, type Tally } from './packets.ts';
import { countedAs, type ReferenceOptions } from './reference-parser.ts';

/** A bit of everything: some keys, and each class that frames alone make. */
export const mixedRuns: readonly Run[] = [
  { frame: ethernet(etherType.ipv4, ipv4({}, ports(40_000, 53))), times: 5 },
  { frame: ethernet(etherType.ipv4, ipv4({ source: [192, 0, 2, 7] }, ports(40_000, 53, 400))), times: 2 },
  { frame: ethernet(etherType.ipv4, ipv4({ protocol: protocol.tcp }, ports(40_001, 443, 16))), times: 7 },
  { frame: ethernet(etherType.ipv4, ipv4({ protocol: protocol.icmp }, icmp(8, 0))), times: 3 },
  { frame: ethernet(etherType.ipv6, ipv6Chain([], protocol.tcp, ports(40_002, 22, 16))), times: 4 },
  { frame: ethernet(etherType.ipv4, ipv4({ fragmentOffset: 10 }, ports(1, 2))), times: 2 },
  { frame: ethernet(etherType.ipv4, ipv4({ words: 2 })), times: 1 },
  { frame: ethernet(etherType.arp, Buffer.alloc(46)), times: 1 },
];

export interface Traffic {
  /** Ends it; resolves to what was sent, by what it has to be counted as. */
  stop(): Promise<Tally>;
}

/** What one round of these frames has to be counted as, so many times. */
export function tallyOfRuns(runs: readonly Run[], rounds: number, options: ReferenceOptions = {}): Tally {
  const tally: Tally = new Map();
  for (const { frame, times } of runs)
    add(tally, nameOf(countedAs(frame, options)), rounds * times, rounds * times * frame.length);
  return tally;
}

/** Sends the frames over and over, some 30 rounds a second, until it is stopped. */
export function startTraffic(pair: VethPair, runs: readonly Run[] = mixedRuns): Traffic {
  const pause = 30;
  const stop = new AbortController();
  const sending = (async () => {
    let rounds = 0;
    for (; !stop.signal.aborted; rounds += 1) {
      await pair.sendFrames(runs);
      await sleep(pause);
    }
    return tallyOfRuns(runs, rounds);
  })();
  // Told to who stops it.
  sending.catch(() => {});
  return {
    stop: () => {
      stop.abort();
      return sending;
    },
  };
}
