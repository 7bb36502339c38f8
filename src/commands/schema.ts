import type { SchemaConfig } from '../config/types.ts';
import { Bpf2KafkaError } from '../errors.ts';
import { createLog } from '../log.ts';
import { isTopicName, subjectOf, topicNames, topicSchema } from '../schemas/catalog.ts';
import { resolveSchemaId } from '../schemas/registry.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/** `schema [NAME] [--register]`: lists the topics, prints the schema of one, or registers it and prints its id. */
export async function schemaCommand(name: string | undefined, config: SchemaConfig, io: CommandIo): Promise<number> {
  if (name === undefined) {
    if (config.register) {
      throw usage('register a schema', 'no NAME is given', `give one of ${topicNames.join(', ')}`);
    }
    for (const topic of topicNames) await writeLine(io.stdout, topic);
    return 0;
  }
  if (!isTopicName(name)) {
    throw usage(
      `find the schema ${JSON.stringify(name)}`,
      'there is no such topic',
      `there are: ${topicNames.join(', ')}`,
    );
  }
  const { schema } = topicSchema(name);
  if (!config.register) {
    await writeLine(io.stdout, JSON.stringify(schema, null, 2));
    return 0;
  }
  if (config.registry === undefined) {
    throw usage('register a schema', '--registry is not given', 'give --registry URL or BPF2KAFKA_REGISTRY');
  }
  const subject = subjectOf(name, config.topicPrefix);
  const id = await resolveSchemaId({
    url: config.registry,
    security: config.registrySecurity,
    subject,
    schema,
    register: true,
    log: createLog(config.logLevel),
  });
  await writeLine(io.stdout, `${subject} has the id ${id}`);
  return 0;
}

function usage(operation: string, reason: string, remedy: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_USAGE', { operation, reason, remedy });
}
