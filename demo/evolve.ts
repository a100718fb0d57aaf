import type pg from 'pg';
import type { IsoDate } from '../warehouse/core/clock.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import { applyStep, EDIT, REMOVE, SIGN_UP, type Step, SYNC } from './apply.ts';
import { type Day, dayOf, isoDate } from './calendar.ts';
import { type Change, changeOn, type Entity } from './entity.ts';
import { peopleThrough } from './people.ts';
import { connect, readState, withClient, worldOf, writeState } from './state.ts';
import { orgEntities, type World } from './world.ts';

export interface EvolveDemoOptions {
  readonly url: string;
  /** How many days to play. Default 5. */
  readonly days?: number;
  /** The seed the demo was loaded with, when the caller wants it checked. */
  readonly seed?: number;
  readonly onProgress?: OnProgress;
}

export interface EvolvedDay {
  readonly date: IsoDate;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Transactions inserted on this day that were booked two days before or earlier. */
  readonly late: number;
}

export interface EvolvedDemo {
  readonly days: readonly EvolvedDay[];
  /** The new last day. */
  readonly asOf: IsoDate;
}

const DAYS_MAX = 366;
/** Any number of our own: one evolve at a time per database. */
const LOCK = 5_108_214;

/**
 * Plays the days after the last one, as the application would: many transactions a day, some of them open while later ones
 * commit. A day that broke off is played again from its start. Throws USAGE where no demo was loaded.
 */
export async function evolveDemo(options: EvolveDemoOptions): Promise<EvolvedDemo> {
  const { url, days = 5, onProgress = ignoreProgress } = options;
  if (!(Number.isInteger(days) && days >= 1 && days <= DAYS_MAX)) {
    throw new SluiceError('USAGE', `The number of days to play is ${days}.`, {
      remedy: `Give a whole number from 1 to ${DAYS_MAX}.`,
    });
  }
  return await withClient(url, async (client) => {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    const state = await readState(client);
    if (state === undefined) {
      throw new SluiceError('USAGE', 'The database holds no demo data that could evolve.', {
        remedy: 'Load the demo first.',
      });
    }
    if (options.seed !== undefined && options.seed !== state.seed) {
      throw new SluiceError('USAGE', `The demo was loaded with seed ${state.seed}, not ${options.seed}.`, {
        remedy: 'Leave the seed out, or load the demo anew with the other one.',
      });
    }
    const last = dayOf(state.asOf);
    const plan = planDays(worldOf(state), last, days);
    const second = await connect(url);
    const evolved: EvolvedDay[] = [];
    try {
      for (const { day, byOrg } of plan) {
        const begin = performance.now();
        onProgress({ stage: 'load', item: isoDate(day), state: 'started' });
        await playDay(client, second, [...byOrg.values()]);
        await writeState(client, { ...state, asOf: isoDate(day) });
        const counts = countChanges(day, [...byOrg.values()].flat());
        evolved.push(counts);
        const rows = counts.inserted + counts.updated + counts.deleted;
        const ms = Math.round(performance.now() - begin);
        const note = `${counts.inserted} new, ${counts.updated} changed, ${counts.deleted} deleted, ${counts.late} late`;
        onProgress({ stage: 'load', item: isoDate(day), state: 'finished', rows, ms, note });
      }
    } finally {
      await second.end().catch(() => undefined);
    }
    return { days: evolved, asOf: isoDate(last + days) };
  });
}

interface DayPlan {
  readonly day: Day;
  readonly byOrg: ReadonlyMap<number, readonly Change[]>;
}

/** All changes of the days after `last`, by day and org. */
function planDays(world: World, last: Day, days: number): readonly DayPlan[] {
  const plans = Array.from({ length: days }, (_, index) => ({
    day: last + 1 + index,
    byOrg: new Map<number, Change[]>(),
  }));
  const collect = (orgId: number, entities: readonly Entity[]): void => {
    for (const { day, byOrg } of plans) {
      const changes = byOrg.get(orgId) ?? [];
      byOrg.set(orgId, changes);
      for (const entity of entities) {
        const change = changeOn(entity, day);
        if (change !== undefined) changes.push(change);
      }
    }
  };
  for (const [index, entity] of orgEntities(world).entries()) collect(index + 1, [entity]);
  for (const { orgId, entities } of peopleThrough(world, last + days)) collect(orgId, entities);
  return plans;
}

/**
 * One org after the other. While the sync of one is written but not yet committed, the org before is tidied up and committed:
 * rows with an older updated_at appear after newer ones, as in any busy application.
 */
async function playDay(first: pg.Client, second: pg.Client, orgs: readonly (readonly Change[])[]): Promise<void> {
  let previous: readonly Change[] = [];
  for (const changes of orgs) {
    await inTransaction(first, SIGN_UP, changes);
    await first.query('begin');
    try {
      await applyStep(first, SYNC, changes);
      await inTransaction(second, EDIT, previous);
      await inTransaction(second, REMOVE, previous);
      await first.query('commit');
    } catch (error) {
      await first.query('rollback').catch(() => undefined);
      throw error;
    }
    previous = changes;
  }
  await inTransaction(second, EDIT, previous);
  await inTransaction(second, REMOVE, previous);
}

async function inTransaction(client: pg.Client, step: Step, changes: readonly Change[]): Promise<void> {
  if (!step.some(([kind, table]) => changes.some((change) => change.kind === kind && change.table === table))) return;
  await client.query('begin');
  try {
    await applyStep(client, step, changes);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

function countChanges(day: Day, changes: readonly Change[]): EvolvedDay {
  const count = (kind: Change['kind']): number => changes.filter((change) => change.kind === kind).length;
  const isLate = ({ kind, table, row }: Change): boolean =>
    kind === 'insert' && table === 'transactions' && String(row['booking_date']) < isoDate(day - 1);
  return {
    date: isoDate(day),
    inserted: count('insert'),
    updated: count('update'),
    deleted: count('delete'),
    late: changes.filter(isLate).length,
  };
}
