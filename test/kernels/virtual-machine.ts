import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../support/wait-for.ts';

export interface Guest {
  /** Path of the kernel's image. */
  readonly image: string;
  /** Path of what scripts/kernels/initramfs.sh has made for it. */
  readonly initramfs: string;
  /** More words of the kernel's command line. */
  readonly parameters?: string;
  /** Absolute path of the directory that the guest has in the place of build/. */
  readonly build?: string;
}

const checkout = join(import.meta.dirname, '../..');
const memory = '1024M';

/** Its place in Debian 12, and in later ones and Ubuntu. */
const virtiofsd = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'];

/**
 * The disk of the guest: the file systems of / and of the checkout, read-only on the host's side too. The mounts are
 * in a namespace of the daemon's own and end with it.
 */
const serveDisk = `
  mount --bind / "$1" && mount --bind "$2" "$1$2" &&
  mount -o remount,bind,ro "$1" && mount -o remount,bind,ro "$1$2" &&
  exec "$3" --socket-path="$4" -o source="$1" -o sandbox=chroot -o cache=always`;

/** A guest that runs test/kernels/init.sh, and with it one process that talks to this one over the channel. */
export class VirtualMachine {
  /** Resolves when the machine has ended, to what was printed last. */
  readonly ended: Promise<string>;
  readonly channel: Socket;
  readonly #resources: Resources;

  private constructor(resources: Resources, machine: ChildProcess, channel: Socket) {
    this.#resources = resources;
    this.channel = channel;
    this.ended = exited(machine).then(() => resources.lastLines());
  }

  /** Resolves when the machine is on; the guest is still booting. */
  static async boot(guest: Guest): Promise<VirtualMachine> {
    const resources = new Resources();
    try {
      const daemon = virtiofsd.find((path) => existsSync(path));
      if (daemon === undefined) throw new Error('virtiofsd is missing');
      const disk = resources.path('disk.sock');
      const mountPoint = resources.path('disk');
      mkdirSync(mountPoint);
      const namespace = ['--mount', '--propagation', 'private'];
      resources.spawn('unshare', [...namespace, 'sh', '-c', serveDisk, 'sh', mountPoint, checkout, daemon, disk]);
      await waitFor(() => existsSync(disk), { what: 'virtiofsd listens' });

      const server = createServer().listen(resources.path('channel.sock'));
      try {
        await once(server, 'listening');
        const machine = resources.spawn('qemu-system-x86_64', machineOptions(guest, resources));
        const connected = once(server, 'connection') as Promise<[Socket]>;
        const [channel] = await Promise.race([
          connected,
          exited(machine).then(() => Promise.reject(new Error('qemu has ended'))),
        ]);
        return new VirtualMachine(resources, machine, channel);
      } finally {
        server.close();
      }
    } catch (error) {
      const printed = resources.lastLines();
      await resources.release();
      throw new Error(`the virtual machine did not start: ${printed}`, { cause: error });
    }
  }

  /** Turns the machine off; nothing of it is left. */
  async close(): Promise<void> {
    this.channel.destroy();
    await this.#resources.release();
  }
}

function machineOptions({ image, initramfs, parameters = '', build }: Guest, resources: Resources): string[] {
  // What calls itself KVM inside of virtual machines and containers may not work: it is not tried unless asked for.
  const accelerator = process.env.BPF2KAFKA_KERNELS_ACCEL ?? 'tcg,thread=multi,tb-size=256';
  // Page table isolation alone makes an emulated system call twice as slow.
  // On a busy host the emulated clock does not tick while the kernel looks whether it does (arch/x86/kernel/apic/io_apic.c,
  // timer_irq_works), which it then calls a broken machine.
  // Nor does the kernel watch whether the counter of the processor can be trusted: a clock that is a device takes far longer to
  // read.
  const words = [
    'console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable',
    parameters,
    `CHECKOUT="${checkout}"`,
  ];
  if (build !== undefined) words.push(`BUILD="${build}"`);
  return [
    // Page tables of four levels: each miss of the emulated translation walks one less.
    ...['-accel', accelerator, '-cpu', 'max,la57=off', '-machine', 'q35,hpet=off', '-smp', '2', '-m', memory],
    ...['-object', `memory-backend-memfd,id=memory,size=${memory},share=on`, '-numa', 'node,memdev=memory'],
    ...['-nodefaults', '-display', 'none', '-no-reboot', '-nic', 'none'],
    ...['-serial', `file:${resources.path('console')}`],
    ...['-chardev', `socket,id=disk,path=${resources.path('disk.sock')}`],
    ...['-device', 'vhost-user-fs-pci,chardev=disk,tag=host'],
    ...['-chardev', `socket,id=channel,path=${resources.path('channel.sock')}`],
    ...['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=channel,name=vitest'],
    ...['-kernel', image, '-initrd', initramfs, '-append', words.join(' ')],
  ];
}

/** Of the directories; the process behind it made them. */
const prefix = 'bpf2kafka-kernel-';

/** Removes the directories of test runs that were killed. Their machines have ended with them. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** The processes and the directory of one machine. */
class Resources {
  readonly #directory = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  readonly #log = openSync(this.path('log'), 'a');
  readonly #children: ChildProcess[] = [];
  readonly #removeDirectory = () => rmSync(this.#directory, { recursive: true, force: true });

  constructor() {
    removeLeftovers();
    process.on('exit', this.#removeDirectory);
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Starts a process that ends when this one does, however that may be. */
  spawn(command: string, args: readonly string[]): ChildProcess {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      stdio: ['ignore', this.#log, this.#log],
    });
    this.#children.push(child);
    return child;
  }

  lastLines(): string {
    const texts = ['log', 'console'].map((name) => (existsSync(this.path(name)) ? readFileSync(this.path(name)) : ''));
    return texts.join('').trim().split('\n').slice(-20).join('\n');
  }

  async release(): Promise<void> {
    const ends = this.#children.map((child) => exited(child));
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(ends);
    closeSync(this.#log);
    this.#removeDirectory();
    process.off('exit', this.#removeDirectory);
  }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
