import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { bundleWorkflows, installRuntime } from '../../infra/temporal-worker.ts';
import { log } from './support.ts';

/** Runs that are under way when a new version is deployed must go on with it: histories recorded from a real server are replayed by the code as it is now. */

installRuntime(log);
const folder = new URL('histories/', import.meta.url);
const names = readdirSync(folder).sort();
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const workflowBundle = await bundleWorkflows();

/** Ids are part of what a run does: children are named for it. */
async function replay(name: string, history: unknown): Promise<void> {
  const workflowId = name === 'success-extract.json' ? 'elt:elt:shop:2026-06-30' : name.replace('.json', '');
  const options = { workflowBundle, workflowFailureErrorTypes: { '*': ['Error' as const] } };
  await Worker.runReplayHistory(options, historyFromJSON(history), workflowId);
}

test('there is a history of success, a lost race, a failure, a cancellation, a child and a backfill', () => {
  assert.deepEqual(names, [
    'backfill.json',
    'cancelled.json',
    'failure.json',
    'race.json',
    'success-extract.json',
    'success.json',
  ]);
});

for (const name of names) {
  test(`replays ${name}`, async () => {
    await replay(name, read(name));
  });
}

test('a history that the code no longer follows is noticed', async () => {
  const history = read('success.json') as {
    events: { activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[];
  };
  const scheduled = history.events.flatMap((event) => event.activityTaskScheduledEventAttributes ?? []);
  const models = scheduled.find(({ activityType }) => activityType.name === 'runModels');
  assert.ok(models);
  models.activityType.name = 'compact';
  await assert.rejects(
    Worker.runReplayHistory({ workflowBundle }, historyFromJSON(history)),
    DeterminismViolationError,
  );
});
