import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../kernels/frames.ts';

test('messages come out as they went in, wherever the stream is cut', () => {
  const message = fc.oneof(fc.string(), fc.record({ type: fc.string(), error: fc.option(fc.string()) }));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (messages, cuts) => {
      const stream = Buffer.concat(messages.map((one) => encodeFrame(one)));
      const decoder = new FrameDecoder();
      const received: unknown[] = [];
      for (let at = 0, n = 0; at < stream.length; n += 1) {
        const bytes = cuts[n % cuts.length] as number;
        received.push(...decoder.push(stream.subarray(at, at + bytes)));
        at += bytes;
      }
      expect(received).toEqual(messages);
    }),
  );
});

test('an error keeps its class, its message and its cause', () => {
  const [received] = new FrameDecoder().push(encodeFrame(new TypeError('wrong', { cause: new Error('why') })));
  expect(received).toBeInstanceOf(TypeError);
  expect(received).toMatchObject({ message: 'wrong', cause: { message: 'why' } });
});
