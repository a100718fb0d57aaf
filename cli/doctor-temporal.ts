import type { Config } from '../infra/config.ts';
import { connectTemporal, isTemporalConfigured, type TemporalClient } from '../infra/temporal-connection.ts';
import { describeNamespace, describeSchedules, findWorkers } from '../infra/temporal-health.ts';
import { findSearchAttributeGaps } from '../infra/temporal-search-attributes.ts';
import { SEARCH_ATTRIBUTES, TASK_QUEUE } from '../temporal.config.ts';
import { type Finding, type Outcome, observe } from './doctor-findings.ts';

/** The Temporal server, where one is named. What is missing there keeps nobody from sluice run: only what is wrong fails. */
export async function* checkTemporal(config: Config): AsyncGenerator<Finding> {
  let temporal: TemporalClient | undefined;
  try {
    yield await observe('temporal', async () => {
      if (!isTemporalConfigured(config)) {
        return { status: 'ok', detail: 'no server is named (TEMPORAL_ADDRESS): runs go in this process' };
      }
      const client = await connectTemporal(config);
      temporal = client;
      const { retentionHours } = await describeNamespace(client).catch(async (error: unknown) => {
        temporal = undefined;
        await client.close();
        throw error;
      });
      return {
        status: 'ok',
        detail: `${client.address}, namespace ${client.namespace}, runs are kept for ${retentionHours} h`,
      };
    });
    if (temporal === undefined) return;
    const client = temporal;
    yield await observe('attributes', () => checkSearchAttributes(client));
    yield await observe('schedule', () => checkSchedules(client));
    yield await observe('worker', () => checkWorkers(client));
  } finally {
    await temporal?.close();
  }
}

async function checkSearchAttributes(temporal: TemporalClient): Promise<Outcome> {
  const { missing, wrong } = await findSearchAttributeGaps(temporal);
  const create = (names: readonly (keyof typeof SEARCH_ATTRIBUTES)[]): string =>
    `temporal operator search-attribute create --address ${temporal.address} --namespace ${temporal.namespace} ${names.map((name) => `--name ${name} --type ${TYPES[SEARCH_ATTRIBUTES[name]]}`).join(' ')}`;
  if (wrong.length > 0) {
    return {
      status: 'fail',
      detail: `of another type than runs set: ${wrong.join(', ')}`,
      remedy: `Remove them (temporal operator search-attribute remove), or take a namespace of its own; then: ${create(wrong)}`,
    };
  }
  if (missing.length > 0) {
    return {
      status: 'warn',
      detail: `not registered: ${missing.join(', ')}`,
      remedy: `sluice worker adds them when it starts, where it may; else: ${create(missing)}`,
    };
  }
  return { status: 'ok', detail: `${Object.keys(SEARCH_ATTRIBUTES).length} search attributes are registered` };
}

/** As Temporal's command line writes them. */
const TYPES = { KEYWORD: 'Keyword', INT: 'Int' } as const;

async function checkSchedules(temporal: TemporalClient): Promise<Outcome> {
  const states = await describeSchedules(temporal);
  const detail = states
    .map(({ id, found }) => {
      if (found === undefined) return `${id}: not there`;
      if (found.paused) return `${id}: paused${found.note ? ` (${found.note})` : ''}`;
      return `${id}: next ${found.next?.toISOString() ?? 'never'}`;
    })
    .join('\n');
  if (states.some(({ found }) => found === undefined)) {
    return { status: 'warn', detail, remedy: 'sluice schedule apply, where runs are meant to start by themselves.' };
  }
  if (states.some(({ found }) => found?.paused)) {
    return { status: 'warn', detail, remedy: 'Somebody paused it: temporal schedule toggle --unpause, or the Web UI.' };
  }
  return { status: 'ok', detail };
}

async function checkWorkers(temporal: TemporalClient): Promise<Outcome> {
  const workers = await findWorkers(temporal);
  if (workers.length > 0) {
    return { status: 'ok', detail: `${workers.length} on the task queue ${TASK_QUEUE}: ${workers.join(', ')}` };
  }
  return {
    status: 'warn',
    detail: `none asks for work on the task queue ${TASK_QUEUE}: runs would wait`,
    remedy: 'sluice worker',
  };
}
