import { test } from 'vitest';

/** In the place of guest.test.ts where the virtual machine cannot be had. */
test('the kernel side in a virtual machine', (ctx) => ctx.skip(process.env.BPF2KAFKA_KERNEL_UNAVAILABLE));
