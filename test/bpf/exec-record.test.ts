import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { textOf } from '../../src/sources/text.ts';
import { CaptureReader, newPinPath, newToken, removePins, run, tool, whyNoCapture } from '../support/capture.ts';
import { OneCapture } from '../support/one-capture.ts';
import { rounds } from '../support/rounds.ts';
import { patience } from '../support/wait-for.ts';

/** Each field of an exec record, against what the test itself did. */

const head = 24 * 1024;
const tail = 8 * 1024;

const capture = new OneCapture();
let noop: string;
beforeAll(() => {
  if (whyNoCapture() === undefined) noop = capture.copy('noop');
});

const hex = (bytes: Buffer) => (bytes.length === 0 ? '-' : bytes.toString('hex'));

/** Has exec_with exec noop, and returns the record of that exec with the first word that exec_with printed. */
async function execNoop(args: readonly string[], options: readonly string[] = []) {
  const { pid, stdout } = run(tool('exec_with'), [...options, noop, ...args]);
  // exec_with is an exec of its own, by the same process.
  const isTheSecond = (filename: string) => filename === noop || filename.startsWith('/dev/fd/');
  const { event } = await capture.reader.find(
    (e) => e.pid === pid && isTheSecond(e.filename),
    `noop as process ${pid}`,
  );
  return { event, pid, stdout };
}

/** What `exec_with --long` passes. */
function longArgument(bytes: number): string {
  let text = '';
  for (let at = 0; at < bytes; at += 8) text += `${String(at).padStart(7, '0')},`;
  return text.slice(0, bytes);
}

describe('argv', () => {
  const table: Record<string, Buffer[]> = {
    'a newline': [Buffer.from('noop'), Buffer.from('one\ntwo\r\n')],
    'terminal escapes': [Buffer.from('noop'), Buffer.from('\x1b]0;title\x07\x1b[2J')],
    HTML: [Buffer.from('noop'), Buffer.from('<script>alert("&amp;")</script>')],
    'empty strings, the first and the last too': ['', 'a', '', '', 'b', ''].map((text) => Buffer.from(text)),
    'only one empty string': [Buffer.alloc(0)],
    'UTF-8 of every length': [Buffer.from('noop'), Buffer.from('aé€😀')],
    'what looks like an escape': [Buffer.from('noop'), Buffer.from('\\xff')],
  };

  test.for(Object.entries(table))('%s stays as it is', async ([, argv]) => {
    const { event } = await execNoop(argv.map(hex));
    const total = argv.reduce((sum, argument) => sum + argument.length + 1, 0);
    expect(event).toMatchObject({
      args: argv.map((argument) => argument.toString()),
      args_count: argv.length,
      args_bytes: total,
      args_captured_bytes: total,
      args_truncated: false,
      args_raw: null,
      degraded: [],
    });
  });

  test('bytes that are not UTF-8 are escaped, and kept beside it', async () => {
    const argv = [Buffer.from('noop'), Buffer.from([0x61, 0xff, 0xfe, 0x62]), Buffer.from([0xc3]), Buffer.from('é')];
    const { event } = await execNoop(argv.map(hex));
    expect(event.args).toEqual(['noop', 'a\\xff\\xfeb', '\\xc3', 'é']);
    expect(event.args_raw).toEqual(Buffer.concat(argv.flatMap((argument) => [argument, Buffer.alloc(1)])));
    expect(event).toMatchObject({ args_count: 4, args_bytes: 15, args_captured_bytes: 15, args_truncated: false });
  });

  test('no argv at all', async () => {
    const { event } = await execNoop(['--none']);
    const [major = 0, minor = 0] = release().split('.').map(Number);
    // Linux 5.18 gives such a program one empty string (fs/exec.c, do_execveat_common); older ones, when not patched, none.
    const always = major > 5 || (major === 5 && minor >= 18);
    expect(event.args).toEqual(always || event.args_count === 1 ? [''] : []);
    expect(event.args_bytes).toBe(event.args?.length);
    expect(event).toMatchObject({ args_truncated: false, args_raw: null, degraded: [] });
  });

  test('one argument of 100,000 bytes keeps its head and its tail', async () => {
    const { event } = await execNoop(['--long', '100000']);
    const text = longArgument(100_000);
    // The NUL belongs to the tail.
    expect(event.args).toEqual([text.slice(0, head), text.slice(-(tail - 1))]);
    expect(event).toMatchObject({
      args_count: 1,
      args_bytes: 100_001,
      args_captured_bytes: head + tail,
      args_truncated: true,
      args_raw: null,
      degraded: [],
    });
  });

  test('5,000 arguments are all there', async () => {
    const { event } = await execNoop(['--repeat', '5000', '61']);
    expect(event.args).toEqual(Array.from({ length: 5000 }, () => 'a'));
    expect(event).toMatchObject({
      args_count: 5000,
      args_bytes: 10_000,
      args_captured_bytes: 10_000,
      args_truncated: false,
    });
  });

  test('of 20,000 arguments the number is exact, and those of head and tail are there', async () => {
    const { event } = await execNoop(['--repeat', '20000', '61']);
    expect(event.args).toEqual(Array.from({ length: (head + tail) / 2 }, () => 'a'));
    expect(event).toMatchObject({
      args_count: 20_000,
      args_bytes: 40_000,
      args_captured_bytes: head + tail,
      args_truncated: true,
    });
  });

  test('32,768 bytes are whole, one more is cut', async () => {
    const whole = await execNoop(['--long', String(32_768 - 1)]);
    expect(whole.event.args).toEqual([longArgument(32_768 - 1)]);
    expect(whole.event).toMatchObject({ args_bytes: 32_768, args_captured_bytes: 32_768, args_truncated: false });

    const cut = await execNoop(['--long', String(32_769 - 1)]);
    const text = longArgument(32_769 - 1);
    expect(cut.event.args).toEqual([text.slice(0, head), text.slice(head + 1)]);
    expect(cut.event).toMatchObject({ args_bytes: 32_769, args_captured_bytes: 32_768, args_truncated: true });
  });

  test('whatever the lengths, and wherever the borders of pages fall', { timeout: 60_000 * patience }, async () => {
    const length = fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 40 }) },
      { weight: 2, arbitrary: fc.integer({ min: 4080, max: 4110 }) },
      { weight: 1, arbitrary: fc.integer({ min: 8180, max: 9000 }) },
    );
    const argument = fc.tuple(length, fc.integer({ min: 1, max: 255 })).map(([bytes, first]) => {
      // Every byte but zero, at a stride that no page size divides.
      return Buffer.from(Array.from({ length: bytes }, (_, n) => 1 + ((first + n * 7) % 255)));
    });
    let crossed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(argument, { minLength: 1, maxLength: 9 }), async (argv) => {
        capture.forget();
        const { event } = await execNoop(argv.map(hex));
        const bytes = Buffer.concat(argv.flatMap((one) => [one, Buffer.alloc(1)]));
        const cut = bytes.length > head + tail;
        const pieces = cut ? [bytes.subarray(0, head), bytes.subarray(-tail)] : [bytes];
        if (bytes.length > 4096) crossed += 1;

        const { args_count, args_bytes, args_captured_bytes, args_truncated, args_raw } = event;
        expect({ args_count, args_bytes, args_captured_bytes, args_truncated }).toEqual({
          args_count: argv.length,
          args_bytes: bytes.length,
          args_captured_bytes: Math.min(bytes.length, head + tail),
          args_truncated: cut,
        });
        const captured = args_raw ?? Buffer.from(event.args?.map((text) => `${text}\0`).join('') ?? '');
        expect(captured.equals(Buffer.concat(pieces))).toBe(true);
        if (!cut) expect(event.args).toEqual(argv.map(textOf));
      }),
      // Shrinking what fails takes execs too: no longer than this.
      { numRuns: rounds(80), interruptAfterTimeLimit: 20_000 * patience, markInterruptAsFailure: true },
    );
    expect(crossed).toBeGreaterThan(rounds(20));
  });
});

describe('the process', () => {
  test('pid, parent and names', async () => {
    const token = newToken();
    const { pid } = run('sh', ['-c', `'${noop}' ${token}; :`]);
    const { event } = await capture.reader.find((e) => e.args?.[1] === token, 'noop');
    const parent = capture.reader.events.find((e) => e.pid === pid && e.args?.[0] === 'sh');
    expect(event).toMatchObject({
      ppid: pid,
      parent_comm: 'sh',
      comm: 'noop',
      filename: noop,
      args: [noop, token],
      parent_process_id: parent?.process_id,
      parent_exec_id: parent?.exec_id,
      degraded: [],
    });
    expect(event.pid).not.toBe(pid);
    expect(event.tid).toBe(event.pid);
    expect(parent).toMatchObject({ ppid: process.pid, parent_comm: readFileSync('/proc/self/comm', 'utf8').trim() });
  });

  test('comm is cut to 15 characters', async () => {
    const program = join(capture.directory, 'sixteen-chars-ab');
    copyFileSync(noop, program);
    const { pid } = run(program, []);
    expect((await capture.reader.find((e) => e.pid === pid, program)).event.comm).toBe('sixteen-chars-a');
  });

  test('a relative path stays as it was given', async () => {
    const { pid } = run('./noop', [], { cwd: capture.directory });
    expect((await capture.reader.find((e) => e.pid === pid, 'noop')).event).toMatchObject({
      filename: './noop',
      args: ['./noop'],
    });
  });

  test('a path of 4,095 bytes is whole', async () => {
    const padded = `${capture.directory}/${'./'.repeat(2048)}`.slice(0, 4095 - '/noop'.length).replace(/\/?\.?$/, '');
    const program = `${padded}${'/'.repeat(4095 - padded.length - 'noop'.length)}noop`;
    expect(program.length).toBe(4095);
    const { pid } = run(program, []);
    const { event } = await capture.reader.find((e) => e.pid === pid, 'noop');
    expect(event.filename).toBe(program);
    expect(event).toMatchObject({ comm: 'noop', args: [program], degraded: [] });
  });

  test('of a script, filename is the script and argv the interpreter’s', async () => {
    const script = join(capture.directory, 'script');
    writeFileSync(script, `#!${noop} -x\n`, { mode: 0o755 });
    const token = newToken();
    const { pid } = run(script, [token]);
    expect((await capture.reader.find((e) => e.pid === pid, script)).event).toMatchObject({
      filename: script,
      comm: 'script',
      args: [noop, '-x', script, token],
      args_count: 4,
    });
  });

  test('execveat: the descriptor that was given', async () => {
    const { event, pid } = await execNoop([hex(Buffer.from('by-descriptor'))], ['--fd']);
    expect(event).toMatchObject({ pid, args: ['by-descriptor'], degraded: [] });
    expect(event.filename).toMatch(/^\/dev\/fd\/\d+$/);
  });

  test('an exec by a thread that is not the leader: tid is the caller, pid the process that goes on', async () => {
    const { event, pid, stdout } = await execNoop([hex(Buffer.from('noop'))], ['--thread']);
    expect(event.pid).toBe(pid);
    expect(event.tid).toBe(Number(stdout));
    expect(event.tid).not.toBe(pid);
    const before = capture.reader.events.find((e) => e.pid === pid && e.seq < event.seq);
    expect(before?.process_id).toBe(event.process_id);
  });

  test('a child that a thread made has the process for parent, not the thread', async () => {
    const token = newToken();
    const inWorker = `process.getBuiltinModule("node:child_process").execFileSync(${JSON.stringify(noop)}, [${JSON.stringify(token)}])`;
    const script = `new (require("node:worker_threads").Worker)(${JSON.stringify(inWorker)}, { eval: true })`;
    const { pid } = run(process.execPath, ['-e', script]);
    const { event } = await capture.reader.find((e) => e.args?.[1] === token, 'noop');
    const parent = capture.reader.events.find((e) => e.pid === pid && e.exec_id.startsWith(e.process_id));
    expect(event.ppid).toBe(pid);
    expect(event.parent_process_id).toBe(parent?.process_id);
    expect(event.parent_exec_id).toBe(parent?.exec_id);
  });

  test('real, effective and saved ids', async () => {
    const { event } = await execNoop(['-'], ['--gids', '2001', '2002', '2003', '--uids', '1001', '1002', '1003']);
    // The saved ids are the effective ones after every exec (security/commoncap.c, cap_bprm_creds_from_file).
    expect(event).toMatchObject({ uid: 1001, euid: 1002, suid: 1002, gid: 2001, egid: 2002, sgid: 2002 });
  });
});

describe('identity and time', () => {
  test('two execs of one process: one process_id, two exec_ids', async () => {
    const token = newToken();
    const { pid } = run('sh', ['-c', `exec '${noop}' ${token}`]);
    const { event: second } = await capture.reader.find((e) => e.args?.[1] === token, 'noop');
    const first = capture.reader.events.find((e) => e.pid === pid && e.seq < second.seq);
    expect(second.pid).toBe(pid);
    expect(first).toMatchObject({
      process_id: second.process_id,
      start_time: second.start_time,
      parent_exec_id: second.parent_exec_id,
    });
    expect(first?.exec_id).not.toBe(second.exec_id);
    expect(second.process_id).toMatch(/^[0-9a-f]{40}$/);
    expect(second.exec_id).toMatch(/^[0-9a-f]{48}$/);
  });

  test('times are those of the exec', async () => {
    /** The clock of boot_micros, to the hundredth of a second that the kernel prints. */
    const uptime = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e6;
    // The pinned offset of the wall clock is renewed when it is wrong by 5 ms; times are cut to milliseconds.
    const tolerance = 6;
    const [before, bootBefore] = [Date.now(), uptime()];
    const { pid } = run(noop, []);
    const [after, bootAfter] = [Date.now(), uptime()];
    const { event } = await capture.reader.find((e) => e.pid === pid, 'noop');
    expect(event.start_time).toBeGreaterThanOrEqual(before - tolerance);
    expect(event.event_time).toBeGreaterThanOrEqual(event.start_time);
    expect(event.event_time).toBeLessThanOrEqual(after + tolerance);
    expect(event.boot_micros).toBeGreaterThanOrEqual(bootBefore - 10_000);
    expect(event.boot_micros).toBeLessThanOrEqual(bootAfter + 10_000);
  });

  test('start_time is the start of the process, not of the exec', async () => {
    const token = newToken();
    run('sh', ['-c', `sleep 0.2; exec '${noop}' ${token}`]);
    const { event } = await capture.reader.find((e) => e.args?.[1] === token, 'noop');
    expect(event.event_time - event.start_time).toBeGreaterThanOrEqual(200);
  });

  test('seq has no hole from attach_id on, and the epoch is the first', async () => {
    const own = newPinPath();
    try {
      using fresh = new CaptureReader(own);
      const token = newToken();
      for (let n = 0; n < 20; n += 1) run(noop, [`${token}-${n}`]);
      await fresh.find((e) => e.args?.[1] === `${token}-19`, 'the last');
      const { attachId, epoch } = fresh.status;
      const seqs = fresh.events.map((e) => e.seq).sort((a, b) => a - b);
      expect(seqs).toEqual(seqs.map((_, n) => attachId + n));
      expect(epoch).toBe(attachId);
      expect(fresh.events.every((e) => e.epoch === epoch && e.attach_id === attachId)).toBe(true);
    } finally {
      removePins(own);
    }
  });
});
