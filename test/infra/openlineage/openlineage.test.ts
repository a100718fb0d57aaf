import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseError } from '../../support/cli.ts';
import { type TestProject, testProject } from '../../support/project.ts';
import { type Event, startReceiver } from './receiver.ts';

/** Runs that tell a real receiver what they do; and receivers that refuse, fail or never answer. */

let project: TestProject;
before(async () => {
  project = await testProject();
});
after(() => project[Symbol.asyncDispose]());

const run = (url: string, ...args: readonly string[]) =>
  project.sluice(['run', '--as-of', '2026-03-01', '--json', ...args], { env: { SLUICE_OPENLINEAGE_URL: url } });

test('a run tells its start and end, each model’s inputs, columns and lineage, and every test', async (t) => {
  const receiver = await startReceiver(t, 201);
  const result = await run(receiver.url);
  assert.equal(result.code, 0, result.stdout + result.stderr);
  const { events } = receiver;
  const told = events.map(({ eventType, job }) => `${job.name} ${eventType}`);
  assert.deepEqual(told.slice(0, 3), ['extract START', 'extract COMPLETE', 'build START']);
  assert.equal(told.at(-1), 'build COMPLETE');
  for (const job of ['silver.stg_orders', 'gold.fct_orders', 'gold.customer_totals', 'test.silver', 'test.gold'])
    assert.deepEqual(
      told.filter((line) => line.startsWith(`${job} `)),
      [`${job} START`, `${job} COMPLETE`],
    );
  for (const {
    run: { runId, facets },
    job,
    eventTime,
  } of events) {
    assert.match(runId, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.equal(new Date(eventTime).toISOString(), eventTime);
    assert.equal(job.namespace, 'sluice');
    for (const one of [...Object.values(facets), ...Object.values(job.facets)]) {
      assert.match(String(one['_producer']), /^urn:sluice:/);
      assert.match(String(one['_schemaURL']), /^https:\/\/openlineage\.io\/spec\/facets\//);
    }
  }
  const runs = new Map(events.map((event) => [`${event.job.name} ${event.eventType}`, event]));
  assert.equal(runs.get('gold.fct_orders START')?.run.runId, runs.get('gold.fct_orders COMPLETE')?.run.runId);
  const totals = runs.get('gold.customer_totals COMPLETE');
  assert.deepEqual(totals?.run.facets['parent']?.['run'], { runId: runs.get('build START')?.run.runId });
  assert.deepEqual(
    totals?.inputs.map(({ name }) => name),
    ['gold.fct_orders'],
  );
  const facets = totals?.outputs[0]?.facets ?? {};
  const shown = (facets['schema']?.['fields'] ?? []) as readonly unknown[];
  assert.deepEqual(shown[3], {
    name: 'total',
    type: 'DECIMAL(18,2)',
    description: 'How much.',
  });
  const fields = facets['columnLineage']?.['fields'] as Record<
    string,
    { inputFields: { name: string; field: string }[] }
  >;
  assert.deepEqual(
    fields['total']?.inputFields.map(({ name, field }) => `${name}.${field}`),
    ['gold.fct_orders.amount'],
  );
  const assertions = runs.get('test.gold COMPLETE')?.inputs.find(({ name }) => name === 'gold.fct_orders')?.inputFacets;
  const list = assertions?.['dataQualityAssertions']?.['assertions'] as {
    assertion: string;
    success: boolean;
    column?: string;
  }[];
  assert.ok(
    list.some(
      ({ assertion, success, column }) =>
        assertion === 'gold.fct_orders.order_id.not_null' && success && column === 'order_id',
    ),
  );
  const extracted = runs.get('extract COMPLETE');
  assert.match(extracted?.inputs[0]?.namespace ?? '', /^postgres:\/\/[^@]+:\d+$/);
  assert.deepEqual(extracted?.outputs.map(({ name }) => name).sort(), ['bronze.shop.customers', 'bronze.shop.orders']);
  const password = new URL(project.database.url).password;
  if (password !== '') assert.equal(JSON.stringify(events).includes(password), false);
});

test('a failing test is told, and the build that it ends', async () => {
  const path = join(project.dir, 'events.ndjson');
  await project.client.query("insert into shop.orders values (800, 1, '2026-01-05', -5)");
  const failed = await run(`file://${path}`);
  assert.equal(failed.code, 1);
  assert.equal(parseError(failed).code, 'TESTS_FAILED');
  await project.client.query('delete from shop.orders where id = 800');
  const events = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Event);
  const ends = new Map(events.filter(({ eventType }) => eventType === 'FAIL').map((event) => [event.job.name, event]));
  assert.deepEqual([...ends.keys()].sort(), ['build', 'test.gold']);
  assert.match(String(ends.get('build')?.run.facets['errorMessage']?.['message']), /test/i);
  const list = ends.get('test.gold')?.inputs[0]?.inputFacets?.['dataQualityAssertions']?.['assertions'];
  assert.deepEqual(
    (list as { assertion: string; success: boolean }[]).map(({ assertion, success }) => [assertion, success]),
    [['gold.fct_orders.amount.range', false]],
  );
});

for (const answer of [500, 400, 'never'] as const) {
  test(`a receiver that answers ${answer} does not fail a run`, async (t) => {
    const receiver = await startReceiver(t, answer);
    const result = await run(receiver.url, '--log-level', 'warn');
    assert.equal(result.code, 0, result.stdout);
    const [first, ...others] = receiver.events.map(({ eventType, job }) => `${job.name} ${eventType}`);
    assert.equal(first, 'extract START');
    // Which events a receiver is offered after this answer, sender.test.ts tells; here the run's end may cut them short.
    if (answer !== 400) assert.ok(others.length < 7, `${others.length} further events`);
    assert.match(result.stderr, /an OpenLineage event was not taken/);
  });
}

test('a receiver that is not there, or a file that cannot be written, does not fail a run', async () => {
  for (const url of ['http://127.0.0.1:9/nobody', 'file:///nonexistent/folder/events.ndjson']) {
    const result = await run(url, '--log-level', 'warn');
    assert.equal(result.code, 0, result.stdout);
    assert.match(result.stderr, /an OpenLineage event was not taken/);
  }
});

test('a URL with a password is refused before anything runs', async () => {
  const result = await run('http://me:secret@127.0.0.1:9/');
  assert.equal(result.code, 2);
  assert.match(parseError(result).message, /SLUICE_OPENLINEAGE_URL/);
  assert.doesNotMatch(result.stdout, /secret/);
});
