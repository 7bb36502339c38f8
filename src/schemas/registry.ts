import { join } from 'node:path';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RegistrySecurity } from '../security.ts';
import { readableByOthers } from '../security-files.ts';
import { readState, writeState } from '../state-file.ts';
import { type AvroSchema, fingerprint } from './fingerprint.ts';
import { baseUrl, failure, Registry, Unavailable } from './registry-client.ts';

export interface SchemaIdRequest {
  /** Base address of a registry that speaks Confluent's API. */
  readonly url: string;
  readonly security?: RegistrySecurity;
  /** `<topic with prefix>-value`. */
  readonly subject: string;
  readonly schema: AvroSchema;
  /** Whether a schema that the subject lacks may be registered; otherwise nothing is ever written. */
  readonly register: boolean;
  /** Where ids are kept, so that a restart needs no registry. */
  readonly stateDir?: string;
  readonly log: Log;
}

const requestMillis = 10_000;
/** With an id at hand there is no reason to keep a start waiting for a registry that hangs. */
const requestMillisWhenKnown = 3_000;
/**
 * The registry's id of exactly this schema under the subject. The registry is asked first, because one that was
 * set up anew gives other ids and a kept id would then name another schema; when it does not answer, the id kept
 * in the state directory is used. Fails with ERR_REGISTRY.
 */
export async function resolveSchemaId(request: SchemaIdRequest): Promise<number> {
  const { subject, security = {}, stateDir, log } = request;
  const url = baseUrl(request.url);
  const key = keyOf(url, subject, request.schema);
  const ids = stateDir === undefined ? {} : await readIds(stateDir, log);
  const known = ids[key];
  const registry = new Registry(url, security, known === undefined ? requestMillis : requestMillisWhenKnown);
  warn(url, security, log);

  let id: number | undefined;
  try {
    id = await registry.find(subject, request.schema);
    if (request.register) id = await registry.register(subject, request.schema, id);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    if (known !== undefined) {
      log.warn({ registry: url, subject, id: known, reason: error.message }, 'registry unavailable, using the kept id');
      return known;
    }
    throw registry.unavailable('look up the schema of', subject, error);
  }
  if (id === undefined) {
    const name = subject.replace(/-value$/, '');
    throw failure({
      operation: 'look up the schema of',
      subject,
      reason: `the registry ${url} does not have the schema that this version writes`,
      remedy: `give --register-schemas, or register it with 'bpf2kafka schema NAME --register' (NAME is ${name} without the prefix)`,
    });
  }
  if (known !== id && stateDir !== undefined) await writeIds(stateDir, { ...ids, [key]: id }, log);
  return id;
}

/** What a start would find. `kept`: the registry is away, for this reason, and an earlier start has kept the id. */
export type SchemaLookup =
  | { readonly kind: 'registered'; readonly id: number }
  | { readonly kind: 'kept'; readonly id: number; readonly reason: string }
  /** The subject lacks the schema, and would take it or not. */
  | { readonly kind: 'missing' | 'incompatible' };

/** The same questions as `resolveSchemaId`; nothing is registered or kept. Fails with ERR_REGISTRY. */
export async function lookUpSchema({
  url: given,
  security = {},
  subject,
  schema,
  stateDir,
  log,
}: Omit<SchemaIdRequest, 'register'>): Promise<SchemaLookup> {
  const url = baseUrl(given);
  const known = stateDir === undefined ? undefined : (await readIds(stateDir, log))[keyOf(url, subject, schema)];
  const registry = new Registry(url, security, requestMillis);
  try {
    const id = await registry.find(subject, schema);
    if (id !== undefined) return { kind: 'registered', id };
    return { kind: (await registry.accepts(subject, schema)) ? 'missing' : 'incompatible' };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    if (known !== undefined) return { kind: 'kept', id: known, reason: error.message };
    throw registry.unavailable('look up the schema of', subject, error);
  }
}

function keyOf(url: string, subject: string, schema: AvroSchema): string {
  return `${url} ${subject} ${fingerprint(schema).toString('hex')}`;
}

/** Schemas by id, each asked for once. The function fails with ERR_REGISTRY. */
export function createSchemaFetcher(
  registryUrl: string,
  security: RegistrySecurity = {},
): (id: number) => Promise<AvroSchema> {
  const url = baseUrl(registryUrl);
  const registry = new Registry(url, security, requestMillis);
  const pending = new Map<number, Promise<AvroSchema>>();
  return (id) => {
    let schema = pending.get(id);
    if (schema === undefined) {
      schema = registry.byId(id);
      // A failure is not kept: the registry may be back for the next record.
      schema.catch(() => pending.delete(id));
      pending.set(id, schema);
    }
    return schema;
  };
}

function warn(url: string, { tls, login }: RegistrySecurity, log: Log): void {
  for (const path of readableByOthers([tls?.client?.key, login?.password])) {
    log.warn({ path }, 'every user of this host may read this file, and it holds a secret: chmod o-r');
  }
  if (login !== undefined && !url.startsWith('https:')) {
    log.warn({ registry: url }, 'the password goes over the network as it is: give an https address');
  }
}

const idsFile = 'schema-ids.json';

async function readIds(stateDir: string, log: Log): Promise<Record<string, number>> {
  const path = join(stateDir, idsFile);
  try {
    const ids = (await readState(path)) ?? {};
    if (typeof ids !== 'object') throw new Error('it holds no object');
    return Object.fromEntries(Object.entries(ids).filter(([, id]) => Number.isInteger(id)));
  } catch (error) {
    log.warn({ path, reason: reasonOf(error) }, 'kept schema ids cannot be read');
    return {};
  }
}

/** A failure costs only independence of the registry. */
async function writeIds(stateDir: string, ids: Record<string, number>, log: Log): Promise<void> {
  const path = join(stateDir, idsFile);
  try {
    await writeState(path, ids);
  } catch (error) {
    log.warn({ path, reason: reasonOf(error) }, 'schema ids cannot be kept; the next start needs the registry');
  }
}
