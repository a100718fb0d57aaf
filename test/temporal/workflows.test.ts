import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ScheduleOverlapPolicy } from '@temporalio/client';
import { listRuns, startBackfill, startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { applySchedules } from '../../infra/temporal-schedules.ts';
import { bundleWorkflows } from '../../infra/temporal-worker.ts';
import { SCHEDULES, TASK_QUEUE } from '../../temporal.config.ts';
import { isSluiceError, SluiceError } from '../../warehouse/core/errors.ts';
import type { EltResult } from '../../workflows/contract.ts';
import type { RunProgress } from '../../workflows/run-state.ts';
import { createScript } from '../workflows/scripted-activities.ts';
import { startScripted } from './support.ts';

/** What people and other programs do to a run from outside: the Web UI's HTTP API, schedules, signals, very large payloads. */

const { server, temporal, use, close } = await startScripted();
after(close);

const never = new AbortController().signal;
let ids = 0;

interface Ended {
  readonly state: string;
  readonly message: string;
  readonly ms: number;
}

/** Starts a workflow as the Web UI does, one payload with this text, and waits for its end. */
async function startByHttp(type: string, text: string | undefined): Promise<Ended> {
  const id = `http-${++ids}`;
  const started = performance.now();
  const data = text === undefined ? undefined : Buffer.from(text).toString('base64');
  const encoding = Buffer.from('json/plain').toString('base64');
  const response = await fetch(`${server.httpUrl}/api/v1/namespaces/default/workflows/${id}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      workflowType: { name: type },
      taskQueue: { name: TASK_QUEUE },
      ...(data !== undefined && { input: { payloads: [{ metadata: { encoding }, data }] } }),
    }),
  });
  assert.equal(response.status, 200, await response.text());
  const handle = temporal.client.workflow.getHandle(id);
  const message = await Promise.race([
    handle.result().then(
      () => '',
      (error: Error) => (error.cause as Error | undefined)?.message ?? error.message,
    ),
    sleep(10_000).then(() => 'it did not end within 10 s'),
  ]);
  const { status } = await handle.describe();
  return { state: status.name, message, ms: performance.now() - started };
}

test('the Web UI starts elt with nothing, an empty object or null', async () => {
  use(createScript().activities);
  for (const text of [undefined, '{}', 'null']) {
    const { state, message } = await startByHttp('elt', text);
    assert.equal(state, 'COMPLETED', `${text}: ${message}`);
  }
});

test('a wrong input fails the run at once, with the field, the value and an example', async () => {
  use(createScript().activities);
  const cases: readonly (readonly [type: string, text: string | undefined, pattern: RegExp])[] = [
    ['elt', '{"asOf": "2026-02-30"}', /asOf must be a calendar date such as "2026-06-30", not "2026-02-30"/],
    ['elt', '{"as_of": "2026-06-30"}', /as_of is not a field; the fields are pipeline, asOf/],
    ['elt', '{"sources": "app", "fullRefresh": "yes"}', /sources must be a list.*fullRefresh must be true or false/],
    ['elt', '{"steps": "publish"}', /steps must be one of "all", "extract", "build"/],
    ['elt', '{"select": [1]}', /select holds, as entry 1, 1, which is not a text/],
    ['elt', '{"pipeline": "a/b"}', /pipeline must be a name/],
    ['elt', '{"timeZone": "Mars/Olympus"}', /timeZone must be an IANA time zone/],
    ['elt', '"2026-06-30"', /it is "2026-06-30", not one JSON object.*\{"asOf":"2026-06-30"\}/],
    ['elt', '[1]', /not one JSON object/],
    ['elt', '{"__proto__": {"asOf": 1}, "constructor": 1}', /constructor is not a field/],
    ['elt', '{bad json', /JSON/],
    ['backfill', undefined, /source is missing; table is missing.*"source":"app"/],
    ['backfill', '{"source": "app"}', /table is missing/],
    ['backfill', '{"source": "app", "table": "t", "keyFrom": 1, "from": "x"}', /keyFrom and keyTo name keys/],
    ['backfill', '{"source": "app", "table": "t", "column": "c"}', /column needs from or to/],
    ['backfill', '{"source": "app", "table": "t", "keyFrom": 1.5}', /keyFrom must be a whole number or a text/],
    ['backfill', '{"source": "app", "table": "t", "rowsPerSlice": 0}', /rowsPerSlice must be a whole number from 1/],
    ['backfill', '{"source": "app", "table": "t", "progress": {"after": 7}}', /progress is set by the workflow itself/],
  ];
  for (const [type, text, pattern] of cases) {
    const { state, message, ms } = await startByHttp(type, text);
    assert.equal(state, 'FAILED', `${type} ${text}: ${state} ${message}`);
    assert.match(message, pattern);
    assert.ok(ms < 5_000, `${text} took ${ms} ms`);
  }
});

test('a wrong workflow type is told, not tried for ever', async () => {
  const { state, message } = await startByHttp('etl', '{}');
  assert.equal(state, 'FAILED', message);
  assert.match(message, /There is no workflow "etl"\. The types are elt and backfill/);
});

test('what the project does not have is refused before anything is read, with the step’s own words first', async () => {
  const script = createScript();
  use({
    ...script.activities,
    prepare: async ({ sources }) => {
      throw new SluiceError('USAGE', `There is no source "${sources?.[0]}".`, { remedy: 'The sources are: app.' });
    },
    backfillSlice: async ({ table }) => {
      throw new SluiceError('USAGE', `The source app has no table "${table}".`, { remedy: 'Did you mean tags?' });
    },
  });
  assert.deepEqual((({ state, message }) => [state, message])(await startByHttp('elt', '{"sources": ["ap"]}')), [
    'FAILED',
    'There is no source "ap". The sources are: app.',
  ]);
  assert.deepEqual(
    (({ state, message }) => [state, message])(await startByHttp('backfill', '{"source": "app", "table": "tgas"}')),
    ['FAILED', 'The source app has no table "tgas". Did you mean tags?'],
  );
  assert.deepEqual(script.names(), []);
});

test('an input near 2 MB of selectors is refused for its length; results near 2 MB pass; larger ones fail the run in clear words', async () => {
  use(createScript().activities);
  const select = Array.from({ length: 90_000 }, (_, i) => `gold.model_${String(i).padStart(6, '0')}`);
  const { state, message } = await startByHttp('elt', JSON.stringify({ select }));
  assert.equal(state, 'FAILED');
  assert.match(message, /select has 90000 entries, at most 1000 are allowed/);

  const script = createScript({
    runTests: (call) =>
      (script.usual(call) as object[]).map((result) => ({
        ...result,
        name: 'n'.repeat(900_000),
        sample: [{ v: 's'.repeat(3_000_000) }],
      })),
  });
  use(script.activities);
  const whole = await waitForRun<EltResult>(temporal, await startElt(temporal, {}), { signal: never });
  assert.equal(whole.tests.passed + whole.tests.warned, 4, 'samples stay behind, names of 1.8 MB pass');

  const huge = createScript({ runModels: () => [{ name: 'm'.repeat(2_300_000) }] });
  use(huge.activities);
  await assert.rejects(
    waitForRun(temporal, await startElt(temporal, {}), { signal: never }),
    (error) => isSluiceError(error, 'STEP_RESULT_TOO_LARGE') && /runModels has \d+ bytes/.test(error.message),
  );
  assert.ok(huge.names().includes('abortBuild'), 'the clones are thrown away');
});

test('a run sets its own search attributes, and runs are found by them', async () => {
  use(createScript().activities);
  const run = await startElt(temporal, { asOf: '2026-06-29', pipeline: 'finance' });
  await waitForRun(temporal, run, { signal: never });
  let found: Awaited<ReturnType<typeof listRuns>> = [];
  for (let i = 0; i < 50 && found[0]?.state !== 'completed'; i++) {
    await sleep(100);
    found = await listRuns(temporal, {
      limit: 5,
      filter: `EltPipeline = 'finance' and EltLogicalDate = '2026-06-29' and WorkflowType = 'elt'`,
    });
  }
  const { workflowId, runId, link } = run;
  const [only, ...rest] = found;
  assert.deepEqual(rest, []);
  assert.deepEqual(
    { ...only, startedAt: '', closedAt: '' },
    {
      workflowId,
      runId,
      link,
      type: 'elt',
      state: 'completed',
      kind: 'manual',
      asOf: '2026-06-29',
      table: null,
      rows: 3,
      startedAt: '',
      closedAt: '',
    },
  );
  const children = await listRuns(temporal, {
    limit: 5,
    filter: `EltPipeline = 'finance' and WorkflowType = 'extract'`,
  });
  assert.deepEqual(
    children.map((child) => child.workflowId),
    ['elt:finance:shop:2026-06-29'],
  );
  await assert.rejects(listRuns(temporal, { limit: 5, filter: 'Nope = 1' }), (error) => isSluiceError(error, 'USAGE'));
});

test('pause holds a run before its next step, resume lets it go on, and progress tells', async () => {
  const reached = Promise.withResolvers<void>();
  const script = createScript({
    runModels: async (call) => {
      if (call.nth === 1) {
        await temporal.client.workflow.getHandle('paused').signal('pause');
        reached.resolve();
      }
      return script.usual(call);
    },
  });
  use(script.activities);
  const run = await startElt(temporal, {}, 'paused');
  const handle = temporal.client.workflow.getHandle('paused');
  await reached.promise;
  const progress = async (): Promise<RunProgress> => handle.query<RunProgress>('progress');
  let seen = await progress();
  for (let i = 0; i < 50 && !(seen.paused && seen.step === 'test silver'); i++) {
    await sleep(100);
    seen = await progress();
  }
  assert.deepEqual([seen.paused, seen.step, seen.done.at(-1)], [true, 'test silver', 'silver: 2 models']);
  await sleep(500);
  assert.equal(script.names().at(-1), 'runModels silver', 'nothing was begun meanwhile');
  await handle.signal('resume');
  const result = await waitForRun<EltResult>(temporal, run, { signal: never });
  assert.equal(result.release?.number, 1);
});

test('a paused run can be cancelled, and throws its clones away', async () => {
  const script = createScript({
    runModels: async (call) => {
      await temporal.client.workflow.getHandle('paused-2').signal('pause');
      return script.usual(call);
    },
  });
  use(script.activities);
  const controller = new AbortController();
  const run = await startElt(temporal, {}, 'paused-2');
  const waiting = waitForRun(temporal, run, { signal: controller.signal });
  waiting.catch(() => undefined);
  const handle = temporal.client.workflow.getHandle('paused-2');
  while (!(await handle.query<RunProgress>('progress')).paused) await sleep(100);
  controller.abort();
  await assert.rejects(waiting, (error) => isSluiceError(error, 'CANCELLED'));
  assert.deepEqual(script.names().slice(-2), ['runModels silver', 'abortBuild']);
});

test('two runs of one date extract one after the other, never at once', async () => {
  let running = 0;
  let most = 0;
  const script = createScript({
    extract: async (call) => {
      most = Math.max(most, ++running);
      await sleep(300);
      running -= 1;
      return script.usual(call);
    },
  });
  use(script.activities);
  const runs = await Promise.all([startElt(temporal, {}, 'at-once-1'), startElt(temporal, {}, 'at-once-2')]);
  await Promise.all(runs.map((run) => waitForRun(temporal, run, { signal: never })));
  assert.equal(most, 1);
  assert.equal(script.requests('extract').length, 2);
});

test('a backfill goes on as new after some slices, in order, and adds up', async () => {
  const asked: (string | undefined)[] = [];
  use({
    ...createScript().activities,
    backfillSlice: async ({ after, maxRows }) => {
      asked.push(after);
      const at = Number(after ?? 0) + maxRows;
      return { rowsRead: maxRows, inserted: 1, updated: 2, deleted: 3, next: at >= 80 ? null : String(at), ms: 1 };
    },
  });
  const run = await startBackfill(temporal, { source: 'shop', table: 'orders', rowsPerSlice: 10 });
  const result = await waitForRun(temporal, run, { signal: never });
  assert.deepEqual(asked, [undefined, '10', '20', '30', '40', '50', '60', '70']);
  assert.deepEqual(result, {
    source: 'shop',
    table: 'orders',
    slices: 8,
    rowsRead: 80,
    inserted: 8,
    updated: 16,
    deleted: 24,
    release: 1,
  });
  const parts = await Array.fromAsync(temporal.client.workflow.list({ query: `WorkflowId = '${run.workflowId}'` }));
  assert.equal(parts.length, 3, 'three slices a run, with the patience of tests');
});

test('schedules are applied as often as one likes, follow the configuration, and keep an operator’s pause', async () => {
  const [nightly] = await applySchedules(temporal);
  assert.deepEqual(
    [nightly?.id, nightly?.created, nightly?.paused, nightly?.next?.slice(11)],
    ['elt-nightly', true, false, '02:00:00.000Z'],
  );
  const handle = temporal.client.schedule.getHandle('elt-nightly');
  await handle.pause('migration of the source');
  const changed = SCHEDULES.map((schedule) => ({ ...schedule, cron: '30 4 * * *' }));
  const [again] = await applySchedules(temporal, changed);
  assert.deepEqual([again?.created, again?.paused, again?.note], [false, true, 'migration of the source']);
  const { policies, spec } = await handle.describe();
  assert.deepEqual([policies.overlap, policies.catchupWindow], ['BUFFER_ONE', 12 * 3_600_000]);
  assert.equal(spec.calendars?.length, 1);
  await handle.delete();
});

test('a scheduled run takes its logical date from the nominal instant, in the schedule’s zone', async () => {
  use(createScript().activities);
  const definitions = [
    { id: 'utc', pipeline: 'utc', cron: '30 23 * * *', timeZone: 'UTC', catchupWindowMs: 60_000 },
    { id: 'tokyo', pipeline: 'tokyo', cron: '30 0 * * *', timeZone: 'Asia/Tokyo', catchupWindowMs: 60_000 },
  ];
  await applySchedules(temporal, definitions);
  const dates: Record<string, unknown> = {};
  for (const { id } of definitions) {
    const handle = temporal.client.schedule.getHandle(id);
    await handle.backfill({
      start: new Date('2026-06-29T12:00:00Z'),
      end: new Date('2026-06-30T12:00:00Z'),
      overlap: ScheduleOverlapPolicy.ALLOW_ALL,
    });
    let runs: Awaited<ReturnType<typeof listRuns>> = [];
    for (let i = 0; i < 100 && runs[0]?.state !== 'completed'; i++) {
      await sleep(100);
      runs = await listRuns(temporal, { limit: 5, filter: `EltPipeline = '${id}' and WorkflowType = 'elt'` });
    }
    dates[id] = runs.map((run) => [run.kind, run.asOf]);
    await handle.delete();
  }
  // 00:30 in Tokyo is 15:30 of the day before in UTC.
  assert.deepEqual(dates, { utc: [['nightly', '2026-06-29']], tokyo: [['nightly', '2026-06-30']] });
});

test('the bundle of the workflows stays small: what slips into it costs memory in every cached run', async () => {
  const { code } = await bundleWorkflows();
  const own = code.replace(/\/\/# sourceMappingURL=.*/s, '');
  assert.ok(own.length < 900_000, `${own.length} bytes`);
  assert.equal(/zod|duckdb|pino/.test(own), false);
});

/** What the Web UI shows as Current Details. */
async function detailsOf(workflowId: string): Promise<readonly string[]> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  return currentDetails.split('\n').filter((line) => line !== '');
}

test('the details of a run that ended say how each step ended, and nothing is as if under way', async () => {
  const one = createScript({
    extract: (call) => {
      const { tables, ...rest } = one.usual(call) as { tables: readonly object[] };
      return { ...rest, tables: tables.map((table) => ({ ...table, inserted: 1 })) };
    },
    runModels: (call) => (one.usual(call) as object[]).slice(0, 1),
    runTests: (call) => (one.usual(call) as object[]).slice(0, 1),
  });
  use(one.activities);
  await waitForRun(temporal, await startElt(temporal, { asOf: '2026-06-27' }, 'details-of-one'), { signal: never });
  assert.deepEqual(await detailsOf('details-of-one'), [
    '**elt, as of 2026-06-27, started by hand**',
    '- ✓ as of 2026-06-27, source shop',
    '- ✓ extract shop: 1 row changed',
    '- ✓ plan: 2 of 2 models to run',
    '- ✓ silver: 1 model',
    '- ✓ silver: 1 test',
    '- ✓ gold: 1 model',
    '- ✓ gold: 1 test',
    '- ✓ release 1 (v1)',
  ]);
  assert.deepEqual(await detailsOf('elt:elt:shop:2026-06-27'), ['**extract shop**', '- ✓ 1 row changed']);

  const failing = createScript({
    extract: (call) => {
      const { tables, ...rest } = failing.usual(call) as { tables: readonly object[] };
      return { ...rest, tables: tables.map((table) => ({ ...table, inserted: 21_571 })) };
    },
    runTests: () => {
      throw new SluiceError('TESTS_FAILED', '1 test failed, nothing was published: _a_ <b> *c*.\nA second line.', {
        remedy: 'Look at the sample rows.',
      });
    },
  });
  use(failing.activities);
  const failed = await startElt(temporal, { asOf: '2026-06-26' }, 'details-of-failed');
  await assert.rejects(waitForRun(temporal, failed, { signal: never }), (error) =>
    isSluiceError(error, 'TESTS_FAILED'),
  );
  assert.deepEqual((await detailsOf('details-of-failed')).slice(2), [
    '- ✓ extract shop: 21,571 rows changed',
    '- ✓ plan: 2 of 2 models to run',
    '- ✓ silver: 2 models',
    String.raw`- ✗ test silver: 1 test failed, nothing was published: \_a\_ \<b\> \*c\*.`,
  ]);
  const { step, done } = await temporal.client.workflow.getHandle('details-of-failed').query<RunProgress>('progress');
  assert.deepEqual([step, done.length], ['test silver: 1 test failed, nothing was published: _a_ <b> *c*.', 4]);
});

test('when the run after a backfill fails, the error says that the backfill itself is committed', async () => {
  const failing = createScript({
    publish: () => {
      throw new SluiceError('DISK_FULL', 'No space is left.', { remedy: 'Free some.', details: { path: 'x' } });
    },
  });
  use({
    ...failing.activities,
    backfillSlice: async () => ({ rowsRead: 70, inserted: 0, updated: 1, deleted: 2, next: null, ms: 1 }),
  });
  const run = await startBackfill(temporal, { source: 'shop', table: 'lines' });
  await assert.rejects(
    waitForRun(temporal, run, { signal: never }),
    (error) =>
      isSluiceError(error, 'DISK_FULL') &&
      error.message ===
        'The backfill of shop.lines is committed (0 new, 1 changed, 2 deleted), but the run after it failed: No space is left.' &&
      error.remedy === 'Free some.' &&
      error.details['path'] === 'x',
  );
  assert.deepEqual((await detailsOf(run.workflowId)).slice(1), [
    '- ✓ 70 rows read: 0 new, 1 changed, 2 deleted',
    '- ✗ run the pipeline: The backfill of shop.lines is committed (0 new, 1 changed, 2 deleted), but the run after it failed: No space is left.',
  ]);
});

test('steps carry summaries that a person understands', async () => {
  use(createScript().activities);
  const run = await startElt(temporal, { asOf: '2026-06-28' });
  await waitForRun(temporal, run, { signal: never });
  const { events } = await temporal.client.workflow.getHandle(run.workflowId).fetchHistory();
  const summaries = (events ?? []).flatMap(({ userMetadata }) => {
    const data = userMetadata?.summary?.data;
    return data === null || data === undefined ? [] : [JSON.parse(Buffer.from(data).toString()) as string];
  });
  assert.deepEqual(summaries, [
    `elt, as of 2026-06-28, started by hand on ${new Date(Number(events?.[0]?.eventTime?.seconds) * 1000).toISOString().slice(0, 10)}`,
    'look up sources and date, check names',
    'extract shop at one snapshot, as of 2026-06-28',
    'clone the current release and plan the build, as of 2026-06-28',
    'build the silver models',
    'test silver',
    'build the gold models',
    'test gold',
    'publish the release',
  ]);
});
