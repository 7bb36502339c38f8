import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../kernels/frames.ts';
import { type BootPanic, GuestWorker, type Machine } from '../../kernels/pool.ts';

const panic = 'Kernel panic - not syncing: Fatal exception in interrupt';

/** A machine without a guest: the test answers for it, and ends it. */
class FakeMachine {
  /** What the guest was sent. */
  readonly messages: unknown[] = [];
  readonly #ended = Promise.withResolvers<string>();
  readonly #channel = new PassThrough();

  get machine(): Machine {
    const channel = this.#channel as unknown as Machine['channel'];
    const decoder = new FrameDecoder();
    channel.write = (bytes) => {
      this.messages.push(...decoder.push(bytes as Buffer));
      return true;
    };
    return { channel, ended: this.#ended.promise, close: async () => {} };
  }

  answer(message: unknown): void {
    this.#channel.push(encodeFrame(message));
  }

  end(printed: string): void {
    this.#ended.resolve(printed);
  }
}

async function startWorker(machines: readonly FakeMachine[]) {
  const panics: BootPanic[] = [];
  const left = [...machines];
  const boot = async () => (left.shift() as FakeMachine).machine;
  const worker = new GuestWorker('linux 9.9', boot, { TEST: 'true', PATH: '/nowhere' }, panics);
  const received: unknown[] = [];
  const errors: string[] = [];
  worker.on('message', (message) => received.push(message));
  worker.on('error', ({ message }) => errors.push(message));
  await worker.start();
  for (const type of ['start', 'run']) worker.send({ type });
  return { worker, panics, received, errors, settle: () => new Promise(setImmediate) };
}

const greeting = [{ TEST: 'true' }, { type: 'start' }];

test('vitest is told at once that the worker has started; what it sends waits until that is so', async () => {
  const machine = new FakeMachine();
  const { worker, received, errors, settle } = await startWorker([machine]);
  expect(machine.messages).toEqual(greeting);
  machine.answer({ type: 'started' });
  machine.answer({ type: 'testfileFinished' });
  await settle();
  expect(machine.messages).toEqual([...greeting, { type: 'run' }]);
  expect(received).toMatchObject([{ type: 'started' }, { type: 'testfileFinished' }]);
  expect(errors).toEqual([]);
  await worker.stop();
});

test('a worker that could not start is an error', async () => {
  const machine = new FakeMachine();
  const { worker, errors, settle } = await startWorker([machine]);
  machine.answer({ type: 'started', error: 'no such module' });
  await settle();
  expect(errors).toEqual(['linux 9.9: the worker did not start: no such module']);
  await worker.stop();
});

test('a kernel that panics before the worker has started is booted once more, and told of', async () => {
  const machines = [new FakeMachine(), new FakeMachine()] as const;
  const { worker, panics, errors, settle } = await startWorker(machines);
  machines[0].end(panic);
  await settle();
  expect(machines[1].messages).toEqual(greeting);
  expect({ panics, errors }).toEqual({ panics: [{ machine: 'linux 9.9', printed: panic }], errors: [] });
  machines[1].answer({ type: 'started' });
  await settle();
  expect(machines[1].messages).toEqual([...greeting, { type: 'run' }]);
  machines[1].end(panic);
  await settle();
  expect(panics).toHaveLength(1);
  expect(errors).toEqual([`linux 9.9: the guest has ended:\n${panic}`]);
  await worker.stop();
});

test('a second panic is an error', async () => {
  const machines = [new FakeMachine(), new FakeMachine()] as const;
  const { worker, panics, errors, settle } = await startWorker(machines);
  for (const machine of machines) {
    machine.end(panic);
    await settle();
  }
  expect(panics).toHaveLength(1);
  expect(errors).toEqual([`linux 9.9: the guest has ended:\n${panic}`]);
  await worker.stop();
});

test.for([
  ['a panic after the first answer', panic, true],
  ['an end without a panic', 'guest: no overlay', false],
] as const)('%s is an error', async ([, printed, answers]) => {
  const machine = new FakeMachine();
  const { worker, panics, errors, settle } = await startWorker([machine]);
  if (answers) machine.answer({ type: 'started' });
  await settle();
  machine.end(printed);
  await settle();
  expect({ panics, errors }).toEqual({ panics: [], errors: [`linux 9.9: the guest has ended:\n${printed}`] });
  await worker.stop();
});
