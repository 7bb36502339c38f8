import { readFileSync } from 'node:fs';
import { cpus, hostname } from 'node:os';
import { configError, type HostFacts } from '../setting.ts';

/** Of the host, which is the key of its records. Fails with ERR_CONFIG. */
export function machineId(facts: HostFacts): string {
  const id = facts.machineId?.trim();
  // systemd writes 'uninitialized' until the first boot has finished; many hosts would share it as their key.
  if (id !== undefined && /^[0-9a-f]{32}$/.test(id)) return id;
  const state = facts.machineId === undefined ? 'is missing' : id === '' ? 'is empty' : 'holds no machine id';
  throw configError({
    operation: 'tell which host this is',
    reason: `/etc/machine-id ${state}`,
    remedy: "give --host-id, or mount the host's /etc/machine-id",
  });
}

export function hostFacts(): HostFacts {
  let machineIdText: string | undefined;
  try {
    machineIdText = readFileSync('/etc/machine-id', 'utf8');
  } catch {
    machineIdText = undefined;
  }
  // Every processor of the host, not only those that this process may use: the kernel captures on all.
  return { processors: cpus().length, hostName: hostname(), machineId: machineIdText };
}
