import type { RunConfig } from '../config/types.ts';
import type { Log } from '../log.ts';
import { topicsOf } from '../outlets.ts';
import { subjectOf, topicSchema } from '../schemas/catalog.ts';
import { lookUpSchema, type SchemaLookup } from '../schemas/registry.ts';
import { degraded, type Finding, fail, failure, pass } from './finding.ts';

/** Of each schema that this version writes; nothing is registered. */
export async function registryFindings(config: RunConfig, log: Log): Promise<readonly Finding[]> {
  const { registry: url, registrySecurity: security, topicPrefix, stateDir } = config;
  if (url === undefined) return [pass('registry', 'none is given: records name their schema by fingerprint')];
  const findings: Finding[] = [];
  for (const topic of topicsOf(config)) {
    const subject = subjectOf(topic, topicPrefix);
    try {
      const found = await lookUpSchema({ url, security, subject, schema: topicSchema(topic).schema, stateDir, log });
      findings.push(schemaFinding(`schema ${subject}`, found, config));
    } catch (error) {
      findings.push(failure(`schema ${subject}`, error));
    }
  }
  return findings;
}

export function schemaFinding(
  subject: string,
  found: SchemaLookup,
  { registry, registerSchemas }: Pick<RunConfig, 'registry' | 'registerSchemas'>,
): Finding {
  switch (found.kind) {
    case 'registered':
      return pass(subject, `id ${found.id} in ${registry}`);
    case 'kept':
      return degraded(
        subject,
        `the registry ${registry} is not available: ${found.reason}; run would use id ${found.id} of an earlier start`,
        'check --registry and that it runs',
      );
    case 'incompatible':
      return fail(
        subject,
        `not compatible with what the registry ${registry} has`,
        'use another --topic-prefix, or remove the foreign schema from the subject',
      );
    case 'missing':
      if (registerSchemas) return pass(subject, `not in ${registry}; run registers it`);
      return fail(
        subject,
        `not in ${registry}`,
        "give --register-schemas, or register it with 'bpf2kafka schema NAME --register'",
      );
  }
}
