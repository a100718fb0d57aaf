import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../support/random.ts';
import { createTally, playHistory } from './play.ts';
import { BRONZE_COLUMNS, compileGraphs } from './random-graph.ts';
import { openTestWarehouse } from './warehouse.ts';

/** Histories per graph; a soak asks for more, and for another seed. */
const HISTORIES = Number(process.env['INCREMENT_HISTORIES'] ?? 2);
const SEED = Number(process.env['INCREMENT_SEED'] ?? 20261121);
const GRAPHS = 60;

test('for random graphs of models and random histories, split at random into runs, a refreshed model equals its query', async (t) => {
  const random = createRandom(SEED);
  const { project, graphs } = await compileGraphs(random, GRAPHS);
  const warehouse = await openTestWarehouse({ project, tables: BRONZE_COLUMNS });
  t.after(() => warehouse.db.close());
  const tally = createTally();
  for (let history = 0; history < HISTORIES; history++) {
    for (const models of graphs) assert.equal(await playHistory(warehouse, models, random, tally), undefined);
  }
  const { reasons, ...counts } = tally;
  t.diagnostic(`${project.models.length} models: ${JSON.stringify(counts)}`);
  for (const [why, times] of reasons) t.diagnostic(`rebuilt ${times} times: ${why}`);
  // The test says nothing when little is refreshed, when nothing changes, or when everything is touched.
  assert.ok(tally.refreshed > 120 * HISTORIES, `only ${tally.refreshed} refreshes`);
  assert.ok(tally.changed > 60 * HISTORIES, `only ${tally.changed} refreshes changed their model`);
  assert.ok(tally.partial > 45 * HISTORIES, `only ${tally.partial} of them left rows alone`);
  assert.ok(tally.rebuilt < tally.refreshed / 4, `${tally.rebuilt} rebuilds beside ${tally.refreshed} refreshes`);
});
