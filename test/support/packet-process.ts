import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { FrozenPackets, PacketSettings } from '../../src/kernel/packet-capture.ts';
import { startOther, tool } from './capture.ts';

/** The steps by which an epoch ends and is given up, in their order. */
export type PacketStep = 'advance' | 'read' | 'acknowledge' | 'clear';

/** Where kill_in_clear ends a process. */
export type KillPoint = 'commit' | 'acked' | 'delete' | 'base' | 'cleared';

/** Another process that counts packets and takes one step at a time, so that it can be killed between two, or in one. */
export class PacketProcess {
  readonly #other: ReturnType<typeof startOther>;
  readonly #flows: number;
  #steps = 0;

  /** @param index of the interface that it puts the program on */
  constructor(pinPath: string, settings: PacketSettings, index: number) {
    this.#flows = settings.flows;
    this.#other = startOther(
      `const { createInterface } = await import('node:readline');
       const capture = openCapture(pinPath, 64 * 1024);
       const packets = openPackets(capture, ${JSON.stringify(settings)});
       packets.attach(${index});
       let frozen;
       const steps = {
         advance: () => capture.advanceEpoch(),
         read: async () => (frozen = await packets.readFrozen()),
         acknowledge: () => packets.acknowledge({
           firstOffset: -1,
           lastOffset: -1,
           published: frozen.packets.map((packets, slot) => ({ slot, packets })),
         }),
         clear: () => packets.clearFrozen(),
       };
       console.log('step 0');
       let step = 0;
       for await (const name of createInterface({ input: process.stdin })) {
         const result = await steps[name]();
         console.log('step ' + ++step + ' ' + (name === 'read' ? JSON.stringify(result) : '') + ' done');
       }`,
      pinPath,
    );
  }

  /** Resolves when the program counts. */
  async counting(): Promise<void> {
    await this.#other.printed('step 0\n');
  }

  /** Tells it to take a step, which may be its last. */
  begin(step: PacketStep): void {
    this.#steps += 1;
    this.#other.child.stdin.write(`${step}\n`);
  }

  /** Takes a step; `read` resolves to what it gave. */
  async step(step: PacketStep): Promise<FrozenPackets | undefined> {
    this.begin(step);
    const number = this.#steps;
    const line = new RegExp(`^step ${number} (.*) done$`, 'm');
    const output = await this.#other.printed(`step ${number} `);
    const result = line.exec(output)?.[1];
    return result ? (JSON.parse(result) as FrozenPackets) : undefined;
  }

  async kill(): Promise<void> {
    this.#other.child.kill('SIGKILL');
    await this.#other.exited;
  }

  /** Has it killed at this point; resolves when that is prepared, and `killed` when it is done. */
  async killAt(point: KillPoint, count: number): Promise<{ readonly killed: Promise<void> }> {
    const args = [String(this.#other.child.pid), String(this.#flows), point, String(count)];
    const killer = spawn(tool('kill_in_clear'), args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(killer, 'exit');
    await Promise.race([once(killer.stdout, 'data'), ended]);
    if (killer.exitCode !== null) throw new Error(`kill_in_clear ended with ${killer.exitCode}`);
    const killed = async () => {
      const [code] = await ended;
      if (code !== 0) throw new Error(`kill_in_clear ended with ${code}`);
      await this.#other.exited;
    };
    return { killed: killed() };
  }
}
