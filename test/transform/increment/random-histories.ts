import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createRandom } from '../../support/random.ts';
import { createTally, playHistory } from './play.ts';
import { BRONZE_COLUMNS, compileGraphs } from './random-graph.ts';
import { openTestWarehouse } from './warehouse.ts';

const GRAPHS = 50;

/**
 * One long random history for each of many random graphs: after each run every model that was refreshed is compared with its query. The test
 * stands in several files, each with a seed of its own, so that it is run by several processes.
 */
export function testRandomHistories(seed: number): void {
  test('for random graphs of models and random histories, split at random into runs, a refreshed model equals its query', (t) =>
    playGraphs(t, seed));
}

async function playGraphs(t: TestContext, seed: number): Promise<void> {
  const random = createRandom(seed);
  const { project, graphs } = await compileGraphs(random, GRAPHS);
  const warehouse = await openTestWarehouse({ project, tables: BRONZE_COLUMNS });
  t.after(() => warehouse.db.close());
  const tally = createTally();
  for (const models of graphs) {
    const runs = 12 + random.below(8);
    assert.equal(await playHistory(warehouse, models, random, tally, runs), undefined);
  }
  const { reasons, ...counts } = tally;
  t.diagnostic(`${project.models.length} models: ${JSON.stringify(counts)}`);
  for (const [why, times] of reasons) t.diagnostic(`rebuilt ${times} times: ${why}`);
  // The test says nothing when little is refreshed, when nothing changes, or when everything is touched.
  assert.ok(tally.refreshed > 500, `only ${tally.refreshed} refreshes`);
  assert.ok(tally.changed > tally.refreshed / 3, `only ${tally.changed} refreshes changed their model`);
  assert.ok(tally.partial > tally.refreshed / 5, `only ${tally.partial} of them left rows alone`);
  assert.ok(tally.rebuilt < tally.refreshed / 4, `${tally.rebuilt} rebuilds beside ${tally.refreshed} refreshes`);
}
