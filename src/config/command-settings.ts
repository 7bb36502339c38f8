import { brokerSecurityNames, registrySecurityNames } from '../wire-settings.ts';
import { httpTokenNames } from './http-token.ts';
import type { Name } from './settings.ts';

/** Which settings each command has, in the order of its help. */

/** The broker and the registry, and what proves who asks. */
const wireNames = [
  'brokers',
  ...brokerSecurityNames,
  'registry',
  ...registrySecurityNames,
] as const satisfies readonly Name[];

/** What is captured of execs and exits. */
const eventNames = [
  'args',
  'execEnv',
  'excludeExe',
  'excludeUid',
  'excludeCgroupFile',
  'failedExecs',
  'noExec',
  'exitRingBytes',
  'noExit',
  'pinPath',
] as const satisfies readonly Name[];

export const runNames = [
  ...wireNames,
  'registerSchemas',
  'topicPrefix',
  'createTopics',
  'stateDir',
  'hostId',
  'hostName',
  'labels',
  'clientId',
  'onExit',
  'attached',
  'orphanAfter',
  'drainTimeout',
  'execRingBytes',
  'spoolBytes',
  'spoolFull',
  ...eventNames,
  'compression',
  'maxBytesPerSecond',
  'ledgerInterval',
  'http',
  ...httpTokenNames,
  'interfaces',
  'excludeIp',
  'packetInterval',
  'packetKey',
  'packetBudget',
  'packetFlows',
  'noPackets',
  'redact',
  'noRedactDefaults',
  'logLevel',
] as const satisfies readonly Name[];
export const tailNames = [
  ...wireNames,
  'topicPrefix',
  'json',
  'format',
  'to',
  'group',
  'deadLetter',
  'fromBeginning',
  'since',
  'untilEnd',
  'limit',
] as const satisfies readonly Name[];
export const auditNames = [...wireNames, 'topicPrefix', 'json', 'since', 'until'] as const satisfies readonly Name[];
export const schemaNames = [
  'register',
  'registry',
  ...registrySecurityNames,
  'topicPrefix',
  'logLevel',
] as const satisfies readonly Name[];
/** What of `run` shapes the capture, and for whom it is. */
export const attachNames = [
  'user',
  'orphanAfter',
  'execRingBytes',
  ...eventNames,
  'interfaces',
  'excludeIp',
  'packetKey',
  'packetFlows',
  'noPackets',
  'logLevel',
] as const satisfies readonly Name[];
export const detachNames = ['discard', 'pinPath', 'stateDir', 'logLevel'] as const satisfies readonly Name[];
