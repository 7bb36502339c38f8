/**
 * Loads what the guests of the tests load, so that Node.js compiles it here and not in an emulated machine, where that
 * takes seconds each time: NODE_COMPILE_CACHE names the directory where it is kept for them.
 */
const modules = [
  ...['vitest/worker', '../../test/kernels/guest-worker.ts', 'fast-check', 're2js'],
  // Of the processes that tests start there.
  ...['../../src/main.ts', '../../src/commands/run.ts', '../../src/kernel/addon.ts'],
];
await Promise.all(modules.map((name) => import(name)));
