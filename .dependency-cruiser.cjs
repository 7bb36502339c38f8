/** Who may know whom. A part may import itself, the leaves, and what is listed here; everything else is an error. */
const leaves =
  '^src/records/|^src/(errors|clock|interruptible-wait|log|batch|state-file|streams|terminal|version|exec-filters|ip-prefix|secret-pattern|security|security-files|tls-failure|http-request)\\.ts$';

const mayKnow = {
  'main.ts': ['commands', 'config'],
  commands: [
    'sidecar.ts',
    'inlets.ts',
    'check',
    'metrics',
    'live',
    'packet-text.ts',
    'config',
    'sources',
    'ledger',
    'kernel',
    'schemas',
    'producers',
    'spool',
    'kafka',
    'embedded-kafka',
    'http',
    'enrich',
    'siem',
  ],
  // Asks the same questions as the composition root, of the same parts, and builds nothing.
  check: ['config', 'outlets.ts', 'sources', 'ledger', 'kernel', 'schemas', 'kafka'],
  'sidecar.ts': [
    'config',
    'inlets.ts',
    'outlets.ts',
    'pipelines.ts',
    'figures-of.ts',
    'host-record.ts',
    'accounting.ts',
    'metrics/figures.ts',
    'sources',
    'ledger',
    'kernel',
    'schemas',
    'producers',
    'spool',
    'kafka',
    'embedded-kafka',
    'http',
    'enrich',
  ],
  'accounting.ts': ['config', 'inlets.ts', 'outlets.ts', 'pipelines.ts', 'ledger', 'spool'],
  'host-record.ts': ['config', 'inlets.ts', 'enrich', 'schemas'],
  'figures-of.ts': ['inlets.ts', 'outlets.ts', 'pipelines.ts', 'ledger', 'kernel', 'schemas', 'metrics/figures.ts'],
  'pipelines.ts': [
    'spool',
    'config',
    'inlets.ts',
    'outlets.ts',
    'sources',
    'ledger',
    'kernel',
    'schemas',
    'producers',
    'enrich',
  ],
  'inlets.ts': ['config', 'sources', 'kernel'],
  'outlets.ts': ['config', 'schemas', 'producers', 'kafka'],
  config: ['setting.ts', 'wire-settings.ts', 'schemas/packet-count.ts', 'siem/formats.ts'],
  'wire-settings.ts': ['setting.ts'],
  'setting.ts': [],
  sources: ['kernel', 'schemas', 'enrich'],
  ledger: ['kernel', 'schemas'],
  producers: ['kafka', 'schemas'],
  spool: ['kernel', 'schemas', 'producers'],
  kernel: [],
  schemas: [],
  // A library of its own: it reads nothing and knows no more than the types of the records.
  siem: ['schemas/exec-event.ts', 'schemas/exit-event.ts', 'schemas/packet-count.ts'],
  kafka: [],
  'embedded-kafka': [],
  http: [],
  // What the live page shows; `http` only serves it.
  live: ['http/health.ts', 'metrics/figures.ts', 'schemas', 'packet-text.ts'],
  'packet-text.ts': ['schemas/packet-count.ts'],
  metrics: [],
  // The tables in which the addon looks up what was found out.
  enrich: ['kernel/record-writer.ts'],
};

/** A library is imported in one place, so that it can be replaced there. */
const importedBy = {
  kafkajs: '^src/kafka/(admin|authentication|client|cluster|connection|kafkajs-fixes)\\.ts$',
  'lz4-napi': '^src/kafka/compression\\.ts$',
  '@node-rs/crc32': '^src/kafka/produce-request\\.ts$',
  minizlib: '^src/kafka/compression\\.ts$',
  snappy: '^src/kafka/compression\\.ts$',
  lmdb: '^src/spool/spool-store\\.ts$',
  avsc: '^src/schemas/',
  'ipaddr.js': '^src/(ip-prefix|sources/address-text)\\.ts$',
  re2js: '^src/secret-pattern\\.ts$',
  commander: '^src/(main\\.ts$|commands/)',
  zod: '^src/(config/values|setting)\\.ts$',
  fastify: '^src/http/server\\.ts$',
  yaml: '^src/(config/file|commands/dry-run)\\.ts$',
  pino: '^src/log\\.ts$',
  'pino-pretty': '^src/log\\.ts$',
  'prom-client': '^src/metrics/exposition\\.ts$',
  '@kafkajs/confluent-schema-registry': '^src/schemas/registry-client\\.ts$',
};

const escaped = (text) => text.replace(/[.]/g, '\\$&');
const pathOf = (part) => (part.endsWith('.ts') ? `^src/${escaped(part)}$` : `^src/${part}/`);

const parts = Object.entries(mayKnow).map(([part, known]) => ({
  name: `${part}-knows-too-much`,
  severity: 'error',
  from: { path: pathOf(part) },
  to: { path: '^src/', pathNot: [leaves, pathOf(part), ...known.map(pathOf)] },
}));

const libraries = Object.entries(importedBy).map(([library, path]) => ({
  name: `${library}-in-one-place`,
  severity: 'error',
  from: { path: '^src/', pathNot: path },
  to: { path: `^node_modules/${escaped(library)}/` },
}));

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'leaves-know-leaves', severity: 'error', from: { path: leaves }, to: { path: '^src/', pathNot: leaves } },
    {
      name: 'every-part-has-a-rule',
      severity: 'error',
      from: { path: '^src/', pathNot: [leaves, ...Object.keys(mayKnow).map(pathOf)] },
      to: {},
    },
    { name: 'no-unresolved', severity: 'error', from: { path: '^src/' }, to: { couldNotResolve: true } },
    { name: 'no-tests-in-source', severity: 'error', from: { path: '^src/' }, to: { path: '^test/' } },
    ...parts,
    ...libraries,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // The types of TypeScript 7 are not readable for dependency-cruiser: with its parser it reads nothing and succeeds.
    parser: 'swc',
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
