import { Agent } from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import { COMPATIBILITY, SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import { Bpf2KafkaError, type Failure, reasonOf } from '../errors.ts';
import { basicAuthorization, httpRequest } from '../http-request.ts';
import type { RegistrySecurity } from '../security.ts';
import { readSecret, readTls } from '../security-files.ts';
import { tlsFailureOf } from '../tls-failure.ts';
import type { AvroSchema } from './fingerprint.ts';

const contentType = 'application/vnd.schemaregistry.v1+json';

/** The registry gave no answer that says anything about the schema: with a kept id this can be lived with. */
export class Unavailable extends Error {}

/** A registry that speaks Confluent's API. Everything fails with ERR_REGISTRY but what is `Unavailable`. */
export class Registry {
  readonly #url: string;
  readonly #security: RegistrySecurity;
  readonly #millis: number;
  readonly #client: SchemaRegistry;

  constructor(url: string, security: RegistrySecurity, millis: number) {
    this.#url = url;
    this.#security = security;
    this.#millis = millis;
    const { tls = {} } = security;
    // A file that cannot be used is told now, and not as a registry that does not answer.
    this.#authorization();
    const agent = url.startsWith('https:') ? { agent: new Agent(readTls(tls)) } : {};
    // Without a time limit the client waits for ever for a registry that accepts and says nothing.
    const enhance = () => ({
      request: <Request>(request: Request & { enhance(extras: object): Request }) =>
        request.enhance({ timeout: millis, headers: this.#authorization() }),
    });
    this.#client = new SchemaRegistry({
      host: url,
      clientId: 'bpf2kafka',
      retry: { retries: 2 },
      middlewares: [enhance],
      ...agent,
    });
  }

  /** The id of the schema under the subject, or undefined when the subject lacks it. */
  async find(subject: string, schema: AvroSchema): Promise<number | undefined> {
    try {
      return await this.#client.getRegistryIdBySchema(subject, {
        type: 'AVRO' as never,
        schema: JSON.stringify(schema),
      });
    } catch (error) {
      // The client takes the status away from 404 alone, and turns a failed connection into status 400.
      const status = statusOf(error);
      if (status !== undefined && status !== 404) throw this.#explain(error, `look up the schema of ${subject}`);
    }
    // Registries compare the text, white space and docs included (Apicurio 3.0), so the same schema written by
    // another version or tool is not found that way. Comparing what decides about reading finds it.
    const versions = await this.#ask('GET', `/subjects/${encodeURIComponent(subject)}/versions`);
    if (versions === undefined) return undefined;
    const wanted = withoutDocs(schema);
    for (const version of (versions as number[]).toReversed()) {
      const found = await this.#ask('GET', `/subjects/${encodeURIComponent(subject)}/versions/${version}`);
      if (found === undefined) continue;
      const { id, schema: text } = found as { id: number; schema: string };
      if (isDeepStrictEqual(withoutDocs(parseSchema(text)), wanted)) return id;
    }
    return undefined;
  }

  /** Sets the subject's compatibility and registers the schema when it has no id yet. */
  async register(subject: string, schema: AvroSchema, id: number | undefined): Promise<number> {
    // Before the schema, so that there is no moment in which the subject accepts anything.
    await this.#ask('PUT', `/config/${encodeURIComponent(subject)}`, { compatibility: COMPATIBILITY.FULL_TRANSITIVE });
    if (id !== undefined) return id;
    try {
      const registered = await this.#client.register(
        { type: 'AVRO' as never, schema: JSON.stringify(schema) },
        { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
      );
      return registered.id;
    } catch (error) {
      throw this.#explain(error, `register the schema of ${subject}`);
    }
  }

  /** Whether the subject would take the schema beside its newest one. */
  async accepts(subject: string, schema: AvroSchema): Promise<boolean> {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest`;
    const answer = await this.#ask('POST', path, { schema: JSON.stringify(schema), schemaType: 'AVRO' });
    // A subject that is not there has nothing against it.
    return (answer as { is_compatible?: boolean } | undefined)?.is_compatible ?? true;
  }

  async byId(id: number): Promise<AvroSchema> {
    try {
      const schema = await this.#client.getSchema(id);
      return (schema as unknown as { toJSON(): AvroSchema }).toJSON();
    } catch (error) {
      if (statusOf(error) === 404) {
        throw failure({
          operation: 'read the schema',
          subject: `with id ${id}`,
          reason: `the registry ${this.#url} does not have it`,
          remedy: 'give the --registry that the records were written with',
        });
      }
      const explained = this.#explain(error, `read the schema with id ${id}`);
      if (!(explained instanceof Unavailable)) throw explained;
      throw this.unavailable('read the schema', `with id ${id}`, explained);
    }
  }

  unavailable(operation: string, subject: string, cause: Unavailable): Bpf2KafkaError {
    const tls = tlsFailureOf(cause.message, { settings: '--registry', files: this.#security.tls ?? {} });
    return failure({
      operation,
      subject,
      reason: `the registry ${this.#url} ${tls?.reason ?? `is not available: ${cause.message}`}`,
      remedy: tls?.remedy ?? 'check --registry and that it runs',
      cause,
    });
  }

  /** The calls that the client lacks. Undefined when the registry says that the subject or version is not there. */
  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    let status: number;
    let text: string;
    try {
      ({ status, text } = await httpRequest(`${this.#url}${path}`, {
        method,
        headers: { 'content-type': contentType, accept: contentType, ...this.#authorization() },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        tls: this.#security.tls ?? {},
        timeoutMillis: this.#millis,
      }));
    } catch (error) {
      if (error instanceof Bpf2KafkaError) throw error;
      throw new Unavailable(reasonOf(error), { cause: error });
    }
    const answer = parseJson(text) as { error_code?: number; message?: string } | undefined;
    const ok = status >= 200 && status < 300;
    if (ok && answer !== undefined) return answer;
    if (status === 404 && answer?.error_code !== undefined) return undefined;
    if (status >= 500) throw new Unavailable(`it answers ${status} ${answer?.message ?? ''}`.trim());
    if (ok || status === 404) throw this.#notARegistry(`${method} ${path}`, status);
    throw failure({
      operation: 'use the registry',
      subject: this.#url,
      reason: `${method} ${path} was refused with ${status} ${answer?.message ?? ''}`.trim(),
      remedy: this.#remedyFor(status),
    });
  }

  #explain(error: unknown, operation: string): Error {
    const status = statusOf(error);
    const reason = reasonOf(error).replace(/^bpf2kafka - /, '');
    const networkReason = /^Error, status (?:400|5\d\d): (.*)$/.exec(reason)?.[1];
    if (status === undefined || status >= 500 || (status === 400 && networkReason !== undefined)) {
      return new Unavailable(networkReason ?? reason, { cause: error });
    }
    if (status === 409) {
      return failure({
        operation,
        reason: `it is not compatible with what the registry ${this.#url} already has: ${reason}`,
        remedy: 'use another --topic-prefix, or remove the foreign schema from the subject',
        cause: error,
      });
    }
    if (status === 404) return this.#notARegistry(operation, status);
    return failure({
      operation,
      reason: `the registry ${this.#url} refused with ${status}: ${reason}`,
      remedy: this.#remedyFor(status),
      cause: error,
    });
  }

  /** The password as it is now. */
  #authorization(): Record<string, string> {
    const { login } = this.#security;
    return login === undefined ? {} : { authorization: basicAuthorization(login.username, readSecret(login.password)) };
  }

  #remedyFor(status: number): string {
    const { login } = this.#security;
    if (status !== 401 && status !== 403) return 'check what the registry says of such requests';
    if (login === undefined) return 'give --registry-username and --registry-password-file';
    if (status === 403) return `check what the registry allows to ${login.username}`;
    return `check --registry-username and ${login.password.setting}`;
  }

  #notARegistry(what: string, status: number): Bpf2KafkaError {
    return failure({
      operation: 'use the registry',
      subject: this.#url,
      reason: `it does not answer as a schema registry (${what}: status ${status})`,
      remedy: 'give the address at which it speaks the Confluent API, path included (Apicurio: …/apis/ccompat/v7)',
    });
  }
}

/** Of a registry, without a slash at its end. @throws Bpf2KafkaError ERR_REGISTRY for what is no address of one */
export function baseUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw failure({
      operation: 'use the registry',
      subject: JSON.stringify(url),
      reason: 'it is not an http or https address',
    });
  }
  return url.replace(/\/+$/, '');
}

export function failure(details: Failure): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_REGISTRY', details);
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown }).status;
  return typeof status === 'number' ? status : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A foreign subject may hold what is not JSON (a primitive's bare name, protobuf): it is just not ours. */
function parseSchema(text: string): AvroSchema {
  return (parseJson(text) as AvroSchema | undefined) ?? text;
}

/** The schema without the texts for people, which do not change how a record is read. */
function withoutDocs(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutDocs);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([attribute, value]) => attribute !== 'doc' || typeof value !== 'string')
      .map(([attribute, value]) => [attribute, withoutDocs(value)]),
  );
}
