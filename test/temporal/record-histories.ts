import { writeFile } from 'node:fs/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import { createScript, type Script } from '../workflows/scripted-activities.ts';
import { startScripted } from './support.ts';

/**
 * Records the histories that test/temporal/replay.test.ts replays, from a real server: node test/temporal/record-histories.ts. Only when a change
 * of the workflows is meant to break runs that are under way: their names and steps are then new.
 */

const { temporal, use, close } = await startScripted();

async function record(name: string, script: Script, cancelAt?: AbortController): Promise<void> {
  use({
    ...script.activities,
    backfillSlice: async ({ after }) => ({
      rowsRead: 1,
      inserted: 0,
      updated: 1,
      deleted: 0,
      next: after === undefined ? '1' : null,
      ms: 1,
    }),
  });
  const run =
    name === 'backfill'
      ? {
          workflowId: name,
          runId: (
            await temporal.client.workflow.start('backfill', {
              taskQueue: 'sluice',
              workflowId: name,
              args: [{ source: 'shop', table: 'orders' }],
            })
          ).firstExecutionRunId,
          link: '',
        }
      : await startElt(temporal, { asOf: '2026-06-30' }, name);
  await waitForRun(temporal, run, { signal: cancelAt?.signal ?? new AbortController().signal }).catch(() => undefined);
  for (const [workflowId, file] of [
    [name, name],
    ['elt:elt:shop:2026-06-30', `${name}-extract`],
  ] as const) {
    if (workflowId !== name && name !== 'success') continue;
    const history = await temporal.client.workflow.getHandle(workflowId).fetchHistory();
    await writeFile(new URL(`histories/${file}.json`, import.meta.url), `${historyToJSON(history)}\n`);
  }
}

const race = new SluiceError('RELEASE_CONFLICT', 'Another build published first.', { retryable: true });
const bad = new SluiceError('TESTS_FAILED', 'The test gold.unique failed.', { remedy: 'Look at the rows.' });
const cancel = new AbortController();

await record('success', createScript());
await record(
  'race',
  createScript({
    publish: (call) => {
      if (call.nth === 1) throw race;
      return createScript().usual(call);
    },
  }),
);
await record(
  'failure',
  createScript({
    runTests: () => {
      throw bad;
    },
  }),
);
await record(
  'cancelled',
  createScript({
    runModels: async () => {
      cancel.abort();
      await new Promise((resolve) => setTimeout(resolve, 6_000));
    },
  }),
  cancel,
);
await record('backfill', createScript());
await close();
process.exit(0);
