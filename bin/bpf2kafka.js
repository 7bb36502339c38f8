#!/usr/bin/env node
// Finds the right Node.js and the program, then hands over. Plain JavaScript that Node.js 12 can parse, because it is
// also what tells the owner of an old one what to do. Its path never changes: npx remembers it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const script = fileURLToPath(import.meta.url);
const root = dirname(dirname(script));

const minimum = [22, 22];
const [major, minor] = process.versions.node.split('.').map(Number);
const newEnough = major > minimum[0] || (major === minimum[0] && minor >= minimum[1]);

// Under node_modules Node.js refuses to strip types, so an installed package never runs its sources.
const installed = root.split(sep).includes('node_modules');
const source = join(root, 'src', 'main.ts');
const built = join(root, 'dist', 'main.js');
const program = !installed && existsSync(source) ? source : built;

const ownNode = join(root, 'node_modules', '.bin', 'node');

if (newEnough) {
  delete process.env.BPF2KAFKA_RESPAWNED;
  if (existsSync(program)) {
    // A start out of sources strips types and compiles, which takes most of its time: once is enough.
    if (program === source) module.enableCompileCache(join(root, '.cache', 'compiled'));
    import(pathToFileURL(program).href).then((main) => main.runProcess()).catch(fail);
  } else {
    refuse(`${program} is missing: install the package again, or run 'npm run build' in a checkout`);
  }
} else if (!installed && existsSync(ownNode) && !process.env.BPF2KAFKA_RESPAWNED) {
  respawn();
} else {
  refuse(`Node.js ${minimum.join('.')} or newer is needed, this is ${process.versions.node}: run it with a newer one`);
}

/** Runs the same command line with the Node.js of the checkout, as if it had been started with it. */
function respawn() {
  // So that a pinned Node.js that is itself too old ends with a line and not in a loop.
  const env = Object.assign({}, process.env, { BPF2KAFKA_RESPAWNED: '1' });
  const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
  // Before the child is there: a signal that came in between would end this process and leave the child.
  for (const signal of forwarded) process.on(signal, () => child.kill(signal));
  const child = spawn(ownNode, [script].concat(process.argv.slice(2)), { stdio: 'inherit', env });
  child.on('error', fail);
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    // Ends by the same signal, so that a shell or a supervisor sees what happened.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
  });
}

function fail(error) {
  process.stderr.write(
    `bpf2kafka: ${String(error instanceof Error ? error.message : error).replace(/\s*\n\s*/g, ' ')}\n`,
  );
  if (process.env.BPF2KAFKA_DEBUG === '1') process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

function refuse(reason) {
  process.stderr.write(`bpf2kafka: ${reason}\n`);
  process.exit(3);
}
