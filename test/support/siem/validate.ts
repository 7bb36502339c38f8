import { isIP } from 'node:net';
import ecs from './ecs-9.4.0.json' with { type: 'json' };
import ocsf from './ocsf-1.8.0.json' with { type: 'json' };
import sigma from './sigma-process-creation.json' with { type: 'json' };

/**
 * What is wrong with documents by the published schemas, as one line a fault; empty when they are right. The tables
 * beside this file say what the schemas ask for; what is not in them is a fault too, so that a new field needs its fact.
 */

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown) => typeof value === 'string';
const isLong = (value: unknown) => Number.isSafeInteger(value);
const isInt = (value: unknown) => isLong(value) && Math.abs(value as number) <= 2 ** 31;
const isAddress = (value: unknown) => typeof value === 'string' && isIP(value) !== 0;

// ---- OCSF ----

interface OcsfObject {
  readonly attributes: Readonly<Record<string, string>>;
  readonly required: readonly string[];
  readonly atLeastOne?: readonly string[];
  readonly captions?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const ocsfObjects = ocsf.objects as unknown as Readonly<Record<string, OcsfObject>>;
const ocsfClasses = ocsf.classes as Readonly<
  Record<string, { object: string; caption: string; category: { uid: number; caption: string } }>
>;

/** dictionary.json, types; text without a pattern has none. */
const ocsfTypes: Readonly<Record<string, (value: unknown) => boolean>> = {
  any: isObject,
  boolean: (value) => typeof value === 'boolean',
  integer: isInt,
  long: isLong,
  timestamp: isLong,
  port: (value) => isInt(value) && (value as number) >= 0 && (value as number) <= 65_535,
  ip: (value) => isAddress(value) && (value as string).length <= 40,
  uuid: (value) => typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value),
  string: isText,
  hostname: isText,
  username: isText,
  process_name: isText,
  file_name: isText,
  file_path: isText,
};

export function ocsfFaults(document: Json): string[] {
  const { class_uid, class_name, category_uid, category_name, activity_id, activity_name, type_uid, type_name } =
    document;
  const known = ocsfClasses[String(class_uid)];
  if (known === undefined) return [`class_uid ${class_uid} is not known`];
  const faults = objectFaults(known.object, document, '');
  const expect = (name: string, value: unknown, expected: unknown) => {
    if (value !== expected) faults.push(`${name} is ${JSON.stringify(value)}, not ${JSON.stringify(expected)}`);
  };
  expect('class_name', class_name, known.caption);
  expect('category_uid', category_uid, known.category.uid);
  expect('category_name', category_name, known.category.caption);
  expect('type_uid', type_uid, (class_uid as number) * 100 + (activity_id as number));
  expect('type_name', type_name, `${known.caption}: ${activity_name}`);
  expect('metadata.version', (document.metadata as Json | undefined)?.version, '1.8.0');
  return faults;
}

function objectFaults(type: string, object: Json, path: string): string[] {
  const { attributes, required, atLeastOne = [], captions = {} } = ocsfObjects[type] as OcsfObject;
  const faults = required.filter((name) => object[name] === undefined).map((name) => `${path}${name} is missing`);
  if (atLeastOne.length > 0 && !atLeastOne.some((name) => object[name] !== undefined))
    faults.push(`${path} has none of ${atLeastOne.join(', ')}`);
  for (const [name, value] of Object.entries(object)) {
    const where = `${path}${name}`;
    const given = attributes[name];
    if (given === undefined) faults.push(`${where} is no attribute of ${type}`);
    else faults.push(...valueFaults(given, value, where));
    const caption = captions[name]?.[String(value)];
    if (captions[name] === undefined) continue;
    if (caption === undefined) faults.push(`${where} has no value ${value}`);
    const sibling = name === 'activity_id' ? 'activity_name' : name.replace(/_id$/, '');
    if (object[sibling] !== caption) faults.push(`${path}${sibling} is not the caption of ${name}: ${caption}`);
  }
  return faults;
}

function valueFaults(type: string, value: unknown, where: string): string[] {
  if (type.endsWith('[]')) {
    if (!Array.isArray(value)) return [`${where} is no array`];
    return value.flatMap((item, index) => valueFaults(type.slice(0, -2), item, `${where}[${index}]`));
  }
  const check = ocsfTypes[type];
  if (check !== undefined) return check(value) ? [] : [`${where} is no ${type}: ${JSON.stringify(value)}`];
  return isObject(value) ? objectFaults(type, value, `${where}.`) : [`${where} is no object`];
}

// ---- ECS ----

const ecsFields = ecs.fields as Readonly<Record<string, string>>;

const ecsTypes: Readonly<Record<string, (value: unknown) => boolean>> = {
  keyword: isText,
  wildcard: isText,
  long: isLong,
  boolean: (value) => typeof value === 'boolean',
  ip: isAddress,
  // As Elasticsearch reads strict_date_optional_time.
  date: (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value),
};

export function ecsFaults({ bpf2kafka, ...document }: Json): string[] {
  const faults: string[] = bpf2kafka === undefined || isObject(bpf2kafka) ? [] : ['bpf2kafka is no object'];
  const fields = new Map(flat(document, ''));
  for (const name of ecs.required) if (!fields.has(name)) faults.push(`${name} is missing`);
  if (fields.get('ecs.version') !== '9.4.0') faults.push(`ecs.version is ${fields.get('ecs.version')}`);
  for (const [name, value] of fields) {
    const type = ecsFields[name];
    const check = ecsTypes[type?.replace('[]', '') ?? ''];
    if (type === undefined || check === undefined) faults.push(`${name} is no field of ECS`);
    else if (type.endsWith('[]') !== Array.isArray(value)) faults.push(`${name} is not ${type}`);
    else if (![value].flat().every(check)) faults.push(`${name} is not ${type}: ${JSON.stringify(value)}`);
  }
  for (const [name, allowed] of Object.entries(ecs.allowed as Readonly<Record<string, readonly string[]>>)) {
    const wrong = [fields.get(name) ?? []].flat().filter((value) => !allowed.includes(value as string));
    if (wrong.length > 0) faults.push(`${name} may not be ${wrong.join(', ')}`);
  }
  const expected = ecs.expectedTypes as Readonly<Record<string, readonly string[]>>;
  for (const category of fields.get('event.category') as readonly string[])
    for (const type of fields.get('event.type') as readonly string[])
      if (!expected[category]?.includes(type)) faults.push(`event.type ${type} is not one of ${category}`);
  return faults;
}

function flat(object: Json, path: string): [string, unknown][] {
  return Object.entries(object).flatMap(([name, value]): [string, unknown][] =>
    isObject(value) ? flat(value, `${path}${name}.`) : [[`${path}${name}`, value]],
  );
}

// ---- Sigma ----

const sigmaFields = sigma.fields as Readonly<Record<string, string>>;

export function sigmaFaults(document: Json): string[] {
  return Object.entries(document).flatMap(([name, value]) => {
    const type = sigmaFields[name];
    if (type === undefined) return [`${name} is no field of process_creation`];
    return typeof value === type ? [] : [`${name} is no ${type}: ${JSON.stringify(value)}`];
  });
}

export const faultsOf = { ocsf: ocsfFaults, ecs: ecsFaults, sigma: sigmaFaults } as const;
