import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tool } from './capture.ts';
import { encodeFrames, type Run } from './frames.ts';
import { patience, waitFor } from './wait-for.ts';

/** Interfaces and network namespaces of the tests. Their names carry this process, for `removeNetworkLeftovers`. */

const prefix = 'b2kt';
let names = 0;

/** A name that no other process or test uses; at most 13 characters. */
export function newNetworkName(): string {
  return `${prefix}${process.pid}-${names++}`;
}

/** Runs a command of iproute2 or the like and returns its output. */
export function command(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 * patience });
  if (error !== undefined || status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`, { cause: error });
  return stdout;
}

export const ip = (...args: string[]) => command('ip', ...args);

/** Why this machine cannot make interfaces, for `ctx.skip`; undefined when it can. */
export function whyNoNetwork(): string | undefined {
  const { error } = spawnSync('ip', ['-V']);
  return error === undefined ? undefined : 'making interfaces needs ip (iproute2)';
}

const isLeft = (name: string) => {
  const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
  return pid !== undefined && (Number(pid) === process.pid || !existsSync(`/proc/${pid}`));
};

/** Removes the interfaces and namespaces of this process and of those that are no more; returns their names. */
export function removeNetwork(): string[] {
  const links = JSON.parse(ip('-j', 'link', 'show')) as { ifname: string }[];
  const removed: string[] = [];
  for (const { ifname } of links) {
    // Together with its other end, or with the one below, it may be gone already.
    if (!isLeft(ifname) || !existsSync(`/sys/class/net/${ifname}`)) continue;
    ip('link', 'delete', ifname);
    removed.push(ifname);
  }
  for (const { name } of JSON.parse(ip('-j', 'netns', 'list') || '[]') as { name: string }[]) {
    if (!isLeft(name)) continue;
    ip('netns', 'delete', name);
    removed.push(name);
  }
  return removed;
}

/** Keeps the kernel from sending anything of its own over the interface. */
function silence(name: string): void {
  const ipv6 = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`;
  if (existsSync(ipv6)) writeFileSync(ipv6, '1');
}

export function indexOf(name: string): number {
  return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
}

/** Id of the XDP program that the interface has. */
export function xdpProgramOf(name: string): number | undefined {
  const [link] = JSON.parse(ip('-j', 'link', 'show', name)) as { xdp?: { prog?: { id: number } } }[];
  return link?.xdp?.prog?.id;
}

/** A counter of the driver: `rx_packets` and others. */
export function driverCounter(name: string, counter: string): number {
  return Number(readFileSync(`/sys/class/net/${name}/statistics/${counter}`, 'utf8'));
}

/** Makes an interface of this network namespace that says nothing by itself, and takes it up. */
export function addLink(name: string, ...type: string[]): number {
  ip('link', 'add', 'name', name, ...type);
  silence(name);
  ip('link', 'set', name, 'up');
  return indexOf(name);
}

/** A bridge that has the near end of the pair as its only port, and forwards what comes in there. */
export async function bridgeOver(pair: VethPair): Promise<{ readonly name: string; readonly index: number }> {
  const name = newNetworkName();
  const index = addLink(name, 'type', 'bridge');
  ip('link', 'set', pair.name, 'master', name);
  const forwarding = '3'; // BR_STATE_FORWARDING
  await waitFor(() => readFileSync(`/sys/class/net/${pair.name}/brport/state`, 'utf8').trim() === forwarding, {
    what: `${pair.name} is a port that forwards`,
  });
  return { name, index };
}

export interface Sent {
  readonly packets: number;
  readonly bytes: number;
}

async function send(program: string, args: readonly string[], input?: Buffer): Promise<Sent> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 60_000 * patience,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.end(input);
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`packet_send ended with ${code ?? signal}: ${stderr}`);
  const [packets = Number.NaN, bytes = Number.NaN] = stdout.split(' ').map(Number);
  return { packets, bytes };
}

/** A tun device, whose frames begin with the IP header. */
export class Tun {
  readonly name = newNetworkName();
  readonly index: number;

  constructor() {
    ip('tuntap', 'add', 'mode', 'tun', 'name', this.name);
    silence(this.name);
    ip('link', 'set', this.name, 'up');
    this.index = indexOf(this.name);
  }

  receive(runs: readonly Run[]): Promise<Sent> {
    return send(tool('packet_send'), [this.name, 'tun'], encodeFrames(runs));
  }
}

/**
 * A pair of virtual Ethernet interfaces. `name` is the end in this namespace, where packets are counted; `far`, whose name is
 * `peer`, is alone in a namespace of its own, and sends.
 */
export class VethPair {
  readonly name: string;
  readonly namespace = newNetworkName();
  readonly far = 'peer';
  readonly index: number;

  /** @param options.queues of each end, for each direction */
  constructor(options: { mtu?: number; name?: string; index?: number; queues?: number } = {}) {
    this.name = options.name ?? newNetworkName();
    const { name, namespace, far } = this;
    const { mtu = 1500, queues = 1 } = options;
    ip('netns', 'add', namespace);
    this.run(
      'sh',
      '-c',
      'for f in all default; do f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done',
    );
    const near = options.index === undefined ? [] : ['index', String(options.index)];
    const shape = ['mtu', String(mtu), 'numrxqueues', String(queues), 'numtxqueues', String(queues)];
    ip(
      'link',
      'add',
      'name',
      name,
      ...near,
      ...shape,
      'type',
      'veth',
      'peer',
      'name',
      far,
      ...shape,
      'netns',
      namespace,
    );
    silence(name);
    ip('-n', namespace, 'link', 'set', far, 'up');
    ip('link', 'set', name, 'up');
    this.index = indexOf(name);
  }

  /** Runs a command in the namespace of the far end. */
  run(program: string, ...args: string[]): string {
    return command('nsenter', `--net=/run/netns/${this.namespace}`, program, ...args);
  }

  /** Runs a program in the namespace of the far end; resolves to its exit code and signal. */
  async spawn(program: string, ...args: string[]): Promise<[number | null, NodeJS.Signals | null]> {
    const child = spawn('nsenter', [`--net=/run/netns/${this.namespace}`, program, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 60_000 * patience,
      killSignal: 'SIGKILL',
    });
    return (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  }

  #send(input: Buffer | undefined, ...args: string[]): Promise<Sent> {
    return send('nsenter', [`--net=/run/netns/${this.namespace}`, tool('packet_send'), this.far, ...args], input);
  }

  /** Sends these frames, each as often as it says. */
  sendFrames(runs: readonly Run[]): Promise<Sent> {
    return this.#send(encodeFrames(runs), 'frames');
  }

  /** Sends one frame each of so many flows. */
  sendFlows(count: number): Promise<Sent> {
    return this.#send(undefined, 'flows', String(count));
  }

  /** Sends frames of so many flows, as fast as the machine can. */
  flood(milliseconds: number, flows: number): Promise<Sent> {
    return this.#send(undefined, 'flood', String(milliseconds), String(flows));
  }

  remove(): void {
    if (existsSync(`/sys/class/net/${this.name}`)) ip('link', 'delete', this.name);
    ip('netns', 'delete', this.namespace);
  }
}
