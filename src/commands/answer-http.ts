import { randomBytes } from 'node:crypto';
import { systemClock } from '../clock.ts';
import type { RunConfig } from '../config/types.ts';
import type { Log } from '../log.ts';
import { readableByOthers } from '../security-files.ts';
import type { Sidecar } from '../sidecar.ts';

export interface HttpPages extends AsyncDisposable {
  /** Address of the live page with the token that opens the command lines: not for a log. */
  readonly livePage: string;
}

/** What `--http` asks for; undefined when it is off. Loaded when nothing waits for it any more: the kernel captures. */
export async function answerHttp(
  sidecar: Sidecar,
  { http, httpToken, hostId, hostName }: RunConfig,
  log: Log,
): Promise<HttpPages | undefined> {
  if (http === undefined) return undefined;
  const { startHttp } = await import('../http/server.ts');
  const { createExposition } = await import('../metrics/exposition.ts');
  const { LiveState } = await import('../live/live-state.ts');
  const health = () => sidecar.health;
  const figures = () => sidecar.figures;
  const metrics = createExposition(figures);
  const host = { hostId, hostName, attachedAt: sidecar.attachedAt };
  const readExec = (value: Buffer) => sidecar.readExec(value);
  const live = new LiveState({ host, health, figures, readExec, clock: systemClock });
  sidecar.observe(
    ({ batch, topic, seconds }) => {
      metrics.delivered(topic, seconds);
      live.delivered(batch);
    },
    (counts) => live.counted(counts),
  );

  for (const path of readableByOthers([httpToken]))
    log.warn({ path }, 'every user of this host may read this file, and it holds a secret: chmod o-r');
  const token = httpToken?.text ?? randomBytes(24).toString('base64url');
  const server = await startHttp({ address: http, hostName, token, health, metrics, live, clock: systemClock, log });
  if (server === undefined) return undefined;
  return { livePage: `${server.url}/?token=${token}`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
