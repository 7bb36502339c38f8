import { Argument, Command, CommanderError, Option } from 'commander';
import { effectiveSettings } from './config/effective.ts';
import {
  isDryRun,
  loadAttachConfig,
  loadAuditConfig,
  loadCheckConfig,
  loadDetachConfig,
  loadRunConfig,
  loadSchemaConfig,
  loadTailConfig,
} from './config/load.ts';
import { type CommandName, optionsOf } from './config/options.ts';
import type { Environment, Flags } from './config/types.ts';
import { Bpf2KafkaError, reasonOf } from './errors.ts';
import { type StreamName, streamNames } from './streams.ts';
import type { CommandIo } from './terminal.ts';
import { version } from './version.ts';

/** What a command does with its settings; replaced in tests. Each loads only the modules that it needs. */
export interface Commands {
  run(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  start(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  attach(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  check(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  tail(stream: StreamName, flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  audit(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  schema(name: string | undefined, flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
  detach(flags: Flags, environment: Environment, io: CommandIo): Promise<number>;
}

const realCommands: Commands = {
  run: async (flags, environment, io) => {
    const read = () => loadRunConfig('run', flags, environment);
    const config = read();
    if (isDryRun(flags, environment)) {
      const { dryRunCommand } = await import('./commands/dry-run.ts');
      return dryRunCommand(effectiveSettings(flags, environment), io);
    }
    const { runCommand } = await import('./commands/run.ts');
    return runCommand(config, read, io);
  },
  start: async (flags, environment, io) => {
    const config = loadRunConfig('start', flags, environment);
    const { startCommand } = await import('./commands/start.ts');
    return startCommand(config, io);
  },
  attach: async (flags, environment, io) => {
    const config = loadAttachConfig(flags, environment);
    const { attachCommand } = await import('./commands/attach.ts');
    return attachCommand(config, io);
  },
  check: async (flags, environment, io) => {
    const config = loadCheckConfig(flags, environment);
    const { checkCommand } = await import('./commands/check.ts');
    return checkCommand(config, io);
  },
  tail: async (stream, flags, environment, io) => {
    const config = loadTailConfig(flags, environment);
    const { tailCommand } = await import('./commands/tail.ts');
    return tailCommand(stream, config, io);
  },
  audit: async (flags, environment, io) => {
    const config = loadAuditConfig(flags, environment);
    const { auditCommand } = await import('./commands/audit.ts');
    return auditCommand(config, io);
  },
  schema: async (name, flags, environment, io) => {
    const config = loadSchemaConfig(flags, environment);
    const { schemaCommand } = await import('./commands/schema.ts');
    return schemaCommand(name, config, io);
  },
  detach: async (flags, environment, io) => {
    const config = loadDetachConfig(flags, environment);
    const { detachCommand } = await import('./commands/detach.ts');
    return detachCommand(config, io);
  },
};

/** Runs one command line, without the program's name; answers with the exit code and never rejects. */
export async function main(
  words: readonly string[],
  environment: Environment,
  io: CommandIo,
  commands: Commands = realCommands,
): Promise<number> {
  let exitCode = 0;
  const program = build(environment, io, commands, (code) => {
    exitCode = code;
  });
  try {
    if (words.length === 0) throw noCommand();
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version were asked for and are printed: commander ends them with 0.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const { line, code } = describe(error);
    io.stderr.write(`bpf2kafka: ${line}\n`);
    if (environment.BPF2KAFKA_DEBUG === '1' && error instanceof Error) io.stderr.write(`${error.stack}\n`);
    return code;
  }
}

function noCommand(): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_USAGE', {
    operation: 'tell what to do',
    reason: 'no command is given',
    remedy: "'bpf2kafka --help' lists them",
  });
}

function describe(error: unknown): { line: string; code: number } {
  if (error instanceof CommanderError) {
    // commander puts its suggestion on a line of its own.
    const line = reasonOf(error)
      .replace(/^error: /, '')
      .replace(/ ?\(Did you mean (.*)\?\)$/, '; did you mean $1?')
      // Who tries a secret as an option is told that there is none, and not what it was.
      .replace(/^(unknown option '[^'=]*)=.*'/, "$1'");
    return { line, code: 2 };
  }
  if (error instanceof Bpf2KafkaError) return { line: reasonOf(error), code: error.exitCode };
  return { line: `unexpected error: ${reasonOf(error)} (BPF2KAFKA_DEBUG=1 shows where)`, code: 1 };
}

function build(environment: Environment, io: CommandIo, commands: Commands, done: (code: number) => void): Command {
  const program = new Command('bpf2kafka')
    .description('Publishes every exec and every packet count of this host to Kafka as Avro.')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .usage('COMMAND [options]')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Printed once, by main, as one line.
      outputError: () => {},
    })
    .addHelpText('after', examples);

  const add = (name: CommandName, description: string, after: string): Command => {
    const command = program
      .command(name)
      .description(description)
      .helpOption('-h, --help', 'print this help')
      .addHelpText('after', after);
    for (const option of optionsOf(name)) {
      const flags = option.placeholder === undefined ? `--${option.name}` : `--${option.name} <${option.placeholder}>`;
      const parsed = new Option(flags, option.description);
      command.addOption(option.repeatable ? parsed.argParser(append) : parsed);
    }
    return command;
  };

  add('run', 'capture and publish to a Kafka that is there', settingsHelp('run')).action(async (_options, command) => {
    done(await commands.run(flagsOf(command), environment, io));
  });
  add(
    'start',
    'like run, with a Kafka of its own when no --brokers is given; prints what it publishes',
    settingsHelp('start'),
  ).action(async (_options, command) => {
    done(await commands.start(flagsOf(command), environment, io));
  });
  add('attach', 'do what run needs capabilities for, and end; `run --attached` goes on without any', attachHelp).action(
    async (_options, command) => {
      done(await commands.attach(flagsOf(command), environment, io));
    },
  );
  add('check', 'say whether run would work here, and what to mend; 1 when it would not', settingsHelp('check')).action(
    async (_options, command) => {
      done(await commands.check(flagsOf(command), environment, io));
    },
  );
  add('tail', 'print what a topic holds', tailHelp)
    .addArgument(new Argument('<stream>', 'what to print').choices(streamNames))
    .action(async (stream, _options, command) => {
      done(await commands.tail(stream, flagsOf(command), environment, io));
    });
  add('audit', 'check the ledger against the topics; 1 when it does not close', auditHelp).action(
    async (_options, command) => {
      done(await commands.audit(flagsOf(command), environment, io));
    },
  );
  add('schema', 'list the schemas, print one, or register it', schemaHelp)
    .argument('[NAME]', 'name of a topic without prefix')
    .action(async (name, _options, command) => {
      done(await commands.schema(name, flagsOf(command), environment, io));
    });
  add('detach', 'remove the programs that an earlier run left in the kernel', '').action(async (_options, command) => {
    done(await commands.detach(flagsOf(command), environment, io));
  });
  return program;
}

function append(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** The flags that were given, by their names in the table of settings. */
function flagsOf(command: Command): Flags {
  return Object.fromEntries(
    command.options.map((option) => {
      const value = command.getOptionValue(option.attributeName());
      // `--no-X` sets X to false, which is true when nobody gave it.
      return [option.name(), option.negate ? value === false || undefined : value];
    }),
  );
}

const examples = `
Examples:
  bpf2kafka run --brokers kafka-1:9092,kafka-2:9092 --registry http://registry:8081
  bpf2kafka run --brokers localhost:9092 --create-topics
  bpf2kafka check --brokers kafka-1:9092,kafka-2:9092
  bpf2kafka tail exec --brokers localhost:9092 --json --limit 10
  bpf2kafka tail packets --brokers localhost:9092
  bpf2kafka audit --brokers localhost:9092
  bpf2kafka schema exec-events
  bpf2kafka COMMAND --help`;

const settingsHelp = (command: string) => `
Each option is also read from the environment (--topic-prefix: BPF2KAFKA_TOPIC_PREFIX) and from the file of --config
(topic-prefix: …). The command line goes before the environment, the environment before the file. A list has commas
between its items; so has a repeatable option in the environment (--redact a line each), and it is a list in the file.
A secret is in a file of its own (--sasl-password-file), or, without -file, in the environment (BPF2KAFKA_SASL_PASSWORD)
or in the file of --config (sasl-password: …); it is no option, because every user of the host can read those. Only
--http-token is one.
${command === 'run' ? 'SIGHUP reads --exclude-exe, --exclude-uid and the file of --exclude-cgroup-file again.\n' : ''}
Examples:
  bpf2kafka ${command} --brokers localhost:9092 --create-topics
  bpf2kafka ${command} --brokers localhost:9092 --interface eth0 --interface lo --exclude-ip 10.0.0.0/8`;

const attachHelp = `
It takes the options, the environment and the file of run, of which it reads what shapes the capture, and needs no broker.

Examples:
  bpf2kafka attach --user bpf2kafka --config /etc/bpf2kafka/config.yaml
  setpriv --reuid bpf2kafka --regid bpf2kafka --clear-groups bpf2kafka run --attached --config /etc/bpf2kafka/config.yaml`;

const tailHelp = `
packets prints a table each second in which a count came in: a row for each source and destination port that sent
packets since the start of tail, the busiest first. --json prints every record. --format prints each exec, exit or packet
count as a document of OCSF or ECS, or an exec under the names of Sigma's rules; with --to and --group a topic gets them.

Examples:
  bpf2kafka tail exec --brokers localhost:9092
  bpf2kafka tail exit --brokers localhost:9092
  bpf2kafka tail packets --brokers localhost:9092
  bpf2kafka tail exec --brokers localhost:9092 --from-beginning --json --limit 10
  bpf2kafka tail exec --brokers localhost:9092 --format ocsf
  bpf2kafka tail exec --brokers localhost:9092 --format ecs --to siem-execs --group siem`;

const auditHelp = `
Examples:
  bpf2kafka audit --brokers localhost:9092
  bpf2kafka audit --brokers localhost:9092 --since 2026-11-01T00:00:00Z --json`;

const schemaHelp = `
Examples:
  bpf2kafka schema
  bpf2kafka schema exec-events
  bpf2kafka schema exec-events --register --registry http://registry:8081`;

/** The process: its arguments, its streams, its exit code. */
export async function runProcess(): Promise<void> {
  const stdoutClosed = new AbortController();
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Who reads may leave early (`… | head`): that is no failure. The command ends by itself, so that it can clean up.
    if (error.code === 'EPIPE') return stdoutClosed.abort();
    process.stderr.write(`bpf2kafka: cannot write to standard output: ${reasonOf(error)}\n`);
    process.exit(1);
  });
  const io: CommandIo = { stdout: process.stdout, stderr: process.stderr, stdoutClosed: stdoutClosed.signal };
  const code = await main(process.argv.slice(2), process.env, io);
  // Libraries may hold timers and sockets for a while after their work is done.
  process.exit(code);
}
