import { accessSync, constants, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { ListenAddress } from '../config/types.ts';
import { reasonOf } from '../errors.ts';
import { nearestDirectory } from './files.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

/** Whether `run` could make its files; none is made. */
export function stateDirFinding(stateDir: string): Finding {
  const subject = 'state directory';
  const remedy = 'give a --state-dir that this process may use';
  const nearest = nearestDirectory(stateDir);
  try {
    if (!statSync(nearest).isDirectory()) return fail(subject, `${nearest} is not a directory`, remedy);
    accessSync(nearest, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return fail(subject, `${stateDir}: ${reasonOf(error)}`, remedy);
  }
  return pass(subject, nearest === stateDir ? stateDir : `${stateDir}, which run makes`);
}

/** Listens for a moment. */
export async function httpFinding(address: ListenAddress | undefined): Promise<Finding> {
  if (address === undefined) return pass('http', 'off');
  const { host, port } = address;
  const server = createServer();
  const listened = new Promise<Error | undefined>((resolve) => {
    server.once('error', resolve);
    server.listen({ host, port }, () => resolve(undefined));
  });
  const refused = await listened;
  if (refused !== undefined)
    return degraded('http', `it would be off: ${reasonOf(refused)}`, 'give --http another HOST:PORT, or off');
  await new Promise((resolve) => server.close(resolve));
  return pass('http', `${host}:${port} is free`);
}
