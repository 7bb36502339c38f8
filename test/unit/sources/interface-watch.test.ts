import { describe, expect, test } from 'vitest';
import type { NetworkInterface } from '../../../src/kernel/packet-capture.ts';
import { InterfaceWatch } from '../../../src/sources/interface-watch.ts';
import { fakeLog } from '../producers/fakes.ts';

interface Device extends NetworkInterface {
  up: boolean;
  attached: boolean;
  /** Why it takes no program. */
  refusal?: string;
  nativeRefusal?: string;
}

/** The interfaces of a host. */
class Devices {
  list: Device[] = [];
  attempts = 0;
  #index = 1;
  detachFailure: string | undefined;
  /** Why they cannot be listed. */
  failure: string | undefined;

  add(name: string, device: Partial<Device> = {}): Device {
    this.#index += 1;
    const added = { index: this.#index, name, kind: 'physical', up: true, attached: false, ...device };
    this.list.push(added);
    return added;
  }

  remove(device: Device): void {
    this.list = this.list.filter((other) => other !== device);
  }

  readonly packets = {
    interfaces: (): NetworkInterface[] => {
      if (this.failure !== undefined) throw new Error(this.failure);
      return this.list.map((device) => ({ ...device }));
    },
    attach: (index: number) => {
      this.attempts += 1;
      const device = this.#find(index);
      if (device.refusal !== undefined) throw new Error(device.refusal);
      device.attached = true;
      const { nativeRefusal = '' } = device;
      return { mode: nativeRefusal === '' ? ('native' as const) : ('generic' as const), nativeRefusal };
    },
    detach: (index: number) => {
      if (this.detachFailure !== undefined) throw new Error(this.detachFailure);
      this.#find(index).attached = false;
    },
  };

  #find(index: number): Device {
    const device = this.list.find((other) => other.index === index);
    if (device === undefined) throw new Error('it is gone');
    return device;
  }
}

function setUp(...wanted: string[]) {
  const devices = new Devices();
  const { log, lines } = fakeLog();
  const watch = new InterfaceWatch({ packets: devices.packets, wanted, log });
  /** What is told at this look, as `level interface: message (reason)`. */
  const look = () => {
    lines.length = 0;
    watch.look();
    return lines.map(({ level, fields: { interface: name, reason }, message }) =>
      reason === undefined ? `${level} ${name}: ${message}` : `${level} ${name}: ${message} (${reason})`,
    );
  };
  return { devices, lines, watch, look };
}

const counting = (name: string) => `info ${name}: counting packets`;
const notCounted = 'packets are not counted there';

describe('what is wanted', () => {
  test('interfaces by their names, of whatever kind, and no others', () => {
    const { devices, watch, look } = setUp('eth1', 'lo');
    devices.add('lo', { kind: 'loopback' });
    devices.add('eth0');
    devices.add('eth1');
    expect(look()).toEqual([counting('lo'), counting('eth1')]);
    expect(watch.attached).toEqual(['lo', 'eth1']);
    expect(look()).toEqual([]);
    expect(watch.attached).toEqual(['lo', 'eth1']);
    expect(devices.attempts).toBe(2);
  });

  test('auto: every physical one that is up', () => {
    const { devices, watch, look } = setUp('auto');
    devices.add('lo', { kind: 'loopback' });
    devices.add('eth0');
    const eth1 = devices.add('eth1', { up: false });
    devices.add('veth3', { kind: 'veth' });
    expect(look()).toEqual([counting('eth0')]);
    eth1.up = true;
    expect(look()).toEqual([counting('eth1')]);
    expect(watch.attached).toEqual(['eth0', 'eth1']);
  });

  test('auto, and others by their names', () => {
    const { devices, watch, look } = setUp('auto', 'lo');
    devices.add('lo', { kind: 'loopback' });
    devices.add('eth0');
    look();
    expect(watch.attached).toEqual(['lo', 'eth0']);
  });

  test('the mode is told, and why it is not native', () => {
    const { devices, lines, look } = setUp('eth0', 'eth1');
    devices.add('eth0');
    devices.add('eth1', { nativeRefusal: 'it has no XDP of its own' });
    look();
    expect(lines.map(({ fields }) => fields)).toEqual([
      { interface: 'eth0', index: 2, mode: 'native' },
      { interface: 'eth1', index: 3, mode: 'generic', nativeRefusal: 'it has no XDP of its own' },
    ]);
  });

  test('one that has the program from an earlier process is left as it is, also when it is down', () => {
    const { devices, watch, look } = setUp('eth0', 'eth1');
    devices.add('eth0', { attached: true });
    devices.add('eth1', { attached: true, up: false });
    expect(look()).toEqual([]);
    expect([watch.attached, devices.attempts]).toEqual([['eth0', 'eth1'], 0]);
  });

  test('one that has it and is not wanted any more loses it', () => {
    const { devices, watch, look } = setUp('eth0');
    devices.add('eth0');
    const eth1 = devices.add('eth1', { attached: true });
    expect(look()).toEqual([counting('eth0'), `info eth1: ${notCounted} any more`]);
    expect([watch.attached, eth1.attached]).toEqual([['eth0'], false]);
    expect(look()).toEqual([]);
  });
});

describe('what is not there', () => {
  test('a name that does not exist is told once, and counted on when it appears', () => {
    const { devices, watch, look } = setUp('eth7');
    const missing = `warn eth7: ${notCounted}; they are when it appears (it does not exist)`;
    expect(look()).toEqual([missing]);
    expect(look()).toEqual([]);
    const eth7 = devices.add('eth7');
    expect(look()).toEqual([counting('eth7')]);
    devices.remove(eth7);
    expect(look()).toEqual([`warn eth7: ${notCounted} any more (it is gone)`, missing]);
    expect(watch.attached).toEqual([]);
  });

  test('one that is down is told once, and counted on when it comes up', () => {
    const { devices, look } = setUp('eth0');
    const eth0 = devices.add('eth0', { up: false });
    expect(look()).toEqual([`warn eth0: ${notCounted}; they are when it comes up (it is down)`]);
    expect([look(), devices.attempts]).toEqual([[], 0]);
    eth0.up = true;
    expect(look()).toEqual([counting('eth0')]);
  });

  test('one that goes down keeps the program', () => {
    const { devices, watch, look } = setUp('auto');
    const eth0 = devices.add('eth0');
    look();
    eth0.up = false;
    expect([look(), watch.attached]).toEqual([[], ['eth0']]);
  });

  test('one that goes is told, and one that is made anew under its name is counted on', () => {
    const { devices, watch, look } = setUp('auto', 'wg0');
    const wg0 = devices.add('wg0', { kind: 'wireguard' });
    devices.add('eth0');
    look();
    devices.remove(wg0);
    devices.add('wg0', { kind: 'wireguard' });
    expect(look()).toEqual([counting('wg0')]);
    expect(watch.attached).toEqual(['eth0', 'wg0']);
  });

  test('one that somebody else took the program off gets it again, or it is told why not', () => {
    const { devices, watch, look } = setUp('eth0');
    const eth0 = devices.add('eth0');
    look();
    eth0.attached = false;
    expect(look()).toEqual([counting('eth0')]);
    eth0.attached = false;
    eth0.refusal = 'it has another XDP program, 12 (xdp_pass)';
    expect(look()).toEqual([
      `warn eth0: ${notCounted} (it has another XDP program, 12 (xdp_pass))`,
      `warn eth0: ${notCounted} any more (it has lost the program)`,
    ]);
    expect([look(), watch.attached]).toEqual([[], []]);
  });

  test('auto without a physical interface that is up is told once, and again after there was one', () => {
    const { devices, look } = setUp('auto');
    devices.add('veth3', { kind: 'veth' });
    const none = `warn auto: ${notCounted}; name others with --interface (no physical interface is up)`;
    expect(look()).toEqual([none]);
    expect(look()).toEqual([]);
    const eth0 = devices.add('eth0');
    expect(look()).toEqual([counting('eth0')]);
    devices.remove(eth0);
    expect(look()).toEqual([`warn eth0: ${notCounted} any more (it is gone)`, none]);
  });

  test('auto without one says nothing when others are counted on, nor when one is up that refuses', () => {
    const { devices, look } = setUp('auto', 'lo');
    const lo = devices.add('lo', { kind: 'loopback' });
    expect(look()).toEqual([counting('lo')]);
    devices.add('eth0', { refusal: 'its MTU is too large' });
    lo.attached = false;
    lo.refusal = 'broken';
    expect(look().filter((line) => line.includes('auto'))).toEqual([]);
  });
});

describe('an interface that refuses', () => {
  test('does not keep the others from it, is tried again, and each reason is told once', () => {
    const { devices, watch, look } = setUp('auto');
    const eth0 = devices.add('eth0', { refusal: 'native: its MTU is too large; generic: it has another XDP program' });
    devices.add('eth1');
    const refused = (reason: string) => `warn eth0: ${notCounted} (${reason})`;
    expect(look()).toEqual([
      refused('native: its MTU is too large; generic: it has another XDP program'),
      counting('eth1'),
    ]);
    expect(look()).toEqual([]);
    eth0.refusal = 'its MTU is too large';
    expect(look()).toEqual([refused('its MTU is too large')]);
    expect([look(), watch.attached, devices.attempts]).toEqual([[], ['eth1'], 5]);
    delete eth0.refusal;
    expect(look()).toEqual([counting('eth0')]);
    eth0.attached = false;
    eth0.refusal = 'its MTU is too large';
    expect(look()).toContain(refused('its MTU is too large'));
  });

  test('to lose the program goes on being counted on, and does not keep the others from anything', () => {
    const { devices, watch, look } = setUp('eth1');
    devices.add('eth0', { attached: true });
    devices.add('eth1');
    devices.detachFailure = 'Operation not permitted';
    const still = 'packets are still counted there, though the interface is not asked for any more';
    expect(look()).toEqual([`warn eth0: ${still} (Operation not permitted)`, counting('eth1')]);
    expect([look(), watch.attached]).toEqual([[], ['eth0', 'eth1']]);
    devices.detachFailure = undefined;
    expect(look()).toEqual([`info eth0: ${notCounted} any more`]);
    expect(watch.attached).toEqual(['eth1']);
  });
});

test('a look that fails again and again is told once, and again after one that did not', () => {
  const { devices, lines, watch } = setUp('eth0');
  devices.add('eth0');
  watch.look();
  lines.length = 0;
  for (const failure of ['no netlink', 'no netlink', undefined, 'no netlink']) {
    devices.failure = failure;
    watch.lookAgain();
  }
  expect(lines.map(({ message, fields }) => [message, fields.reason])).toEqual([
    ['cannot look for interfaces', 'no netlink'],
    ['cannot look for interfaces', 'no netlink'],
  ]);
  expect(watch.attached).toEqual(['eth0']);
  devices.failure = 'no netlink';
  expect(() => watch.look()).toThrow('no netlink');
});
