import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../support/random.ts';
import { createTally, playHistory } from './play.ts';
import { BRONZE_COLUMNS, compileGraphs } from './random-graph.ts';
import { openTestWarehouse } from './warehouse.ts';

/** Minutes to play, and the seed of the first graphs; each round takes the next. */
const MINUTES = Number(process.env['INCREMENT_MINUTES'] ?? 10);
const SEED = Number(process.env['INCREMENT_SEED'] ?? 1);

test('for ever new graphs and histories a refreshed model equals its query', async (t) => {
  const tally = createTally();
  const until = performance.now() + MINUTES * 60_000;
  let seed = SEED;
  for (; performance.now() < until; seed++) {
    const random = createRandom(seed);
    const { project, graphs } = await compileGraphs(random, 60);
    const warehouse = await openTestWarehouse({ project, tables: BRONZE_COLUMNS });
    try {
      for (const models of graphs)
        assert.equal(
          await playHistory(warehouse, models, random, tally, 2 + random.below(16)),
          undefined,
          `seed ${seed}`,
        );
    } finally {
      warehouse.db.close();
    }
  }
  const { reasons: _reasons, ...counts } = tally;
  t.diagnostic(`seeds ${SEED} to ${seed - 1}: ${JSON.stringify(counts)}`);
  assert.ok(tally.changed > 0);
});
