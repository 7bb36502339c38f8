import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

describe('bpf2kafka start', () => {
  it('runs a Kafka of its own, prints execs read back from the topic, and leaves nothing after SIGINT', async () => {
    await using place = await SidecarPlace.create('start');
    await using command = new CommandProcess(['start', ...place.flags, '--http', '127.0.0.1:0'], {
      BPF2KAFKA_LOG_LEVEL: 'info',
    });
    await command.ready();
    expect(command.lines[0]).toBe('ready exec exit');

    const token = `start-test-${process.pid}`;
    execFileSync('/bin/echo', [token, 'a b', '', 'line\nbreak', '\x1b[31mred', '<b>']);
    const line = await command.line(token);
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} pid: \d+ comm: echo \/bin\/echo /);
    expect(line).toContain(`${token} "a b" "" "line\\nbreak" "\\x1b[31mred" <b>`);

    const [, page = ''] =
      /^live page: (http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32})$/.exec(command.lines[1] ?? '') ?? [];
    expect((await fetch(page)).status).toBe(200);
    expect(await (await fetch(page.replace('/?', '/json?'))).text()).toContain(token);
    expect(command.errors).not.toContain(new URL(page).searchParams.get('token'));

    const [, brokers = ''] = /^brokers: (127\.0\.0\.1:\d+)$/.exec(command.lines[2] ?? '') ?? [];
    await using tail = new CommandProcess(['tail', 'exec', '--brokers', brokers, '--until-end']);
    expect([await tail.exit(), tail.errors]).toEqual([0, '']);
    expect(tail.lines.join('\n')).toContain(token);
    expect(command.errors).not.toContain('Restarting the consumer');

    const broker = Number(/"brokers":"[^"]*","pid":(\d+)/.exec(command.errors)?.[1]);
    expect(existsSync(`/proc/${broker}`)).toBe(true);
    expect(await command.end('SIGINT')).toBe(0);
    expect(existsSync(place.pinPath)).toBe(false);
    expect(existsSync(`/proc/${broker}`)).toBe(false);
  });

  it('ends its broker when it is killed, and publishes at the next start what happened meanwhile', async () => {
    await using place = await SidecarPlace.create('killed');
    await using first = new CommandProcess(['start', ...place.flags], { BPF2KAFKA_LOG_LEVEL: 'info' });
    await first.ready();
    const broker = Number(/"brokers":"[^"]*","pid":(\d+)/.exec(first.errors)?.[1]);
    await first.end('SIGKILL');
    await waitFor(() => !existsSync(`/proc/${broker}`), { what: 'the broker has ended with its parent' });

    const token = `meanwhile-${process.pid}`;
    execFileSync('/bin/echo', [token]);
    await using second = new CommandProcess(['start', ...place.flags]);
    await second.ready();
    await second.line(token);
    expect(await second.end('SIGTERM')).toBe(0);
  });
});
