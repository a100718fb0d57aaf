import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listValue, openDuckDb } from '../../warehouse/core/duckdb.ts';
import { GUARD_MARGIN_SECONDS } from '../../warehouse/extract/guard.ts';
import { type CursorFacts, nextCursorValue, plainCursorValue } from '../../warehouse/extract/next-cursor.ts';
import { createRandom, type Random } from '../support/random.ts';

const BEYOND = ['infinity', '-infinity', '0044-03-15 (BC) 12:00:00+00', '12026-01-01 00:00:00+00'];
const STARTS = ['2026-11-21T23:59:00Z', '1969-12-31T23:59:00Z', '9999-12-31T23:50:00Z', '0001-01-01T00:00:00Z'];

/** Instants near one another, near the ends of what has four digits, and what only a database reads; as DuckDB prints them. */
function randomInstant(random: Random): string {
  if (random.chance(0.05)) return random.pick(BEYOND);
  const within = random.chance(0.7) ? 120 : 366 * 86_400;
  const millis = Date.parse(random.pick(STARTS)) + random.below(within) * 1000;
  if (millis > Date.parse('9999-12-31T23:59:59Z')) return '9999-12-31 23:59:59.999999+00';
  const micros = random.pick(['', '.5', '.000001', '.999999', `.${String(random.below(1e6)).padStart(6, '0')}`]);
  return `${new Date(millis).toISOString().slice(0, 19).replace('T', ' ')}${micros}+00`;
}

test('the next watermark is what DuckDB computes by other words, with and without DuckDB', async () => {
  const db = await openDuckDb();
  try {
    const random = createRandom(5);
    let plain = 0;
    for (let round = 0; round < 2000; round++) {
      const facts: CursorFacts = {
        newest: random.chance(0.1) ? null : randomInstant(random),
        bound: randomInstant(random),
        kept: random.chance(0.3) ? null : randomInstant(random),
      };
      const [row] = await db.rows<{ value: string }>(
        `with safe as (select min(t) - to_seconds(${GUARD_MARGIN_SECONDS}) as t from (select unnest($1::varchar[])::timestamptz as t))
         select max(t)::varchar as value from (select t from safe union all select $2::timestamptz where $2 is not null)`,
        [listValue([facts.newest ?? facts.bound, facts.bound]), facts.kept],
      );
      const own = plainCursorValue(facts);
      if (own !== undefined) plain += 1;
      assert.equal(own ?? row?.value, row?.value, JSON.stringify(facts));
      assert.equal(await nextCursorValue(db, facts), row?.value, JSON.stringify(facts));
    }
    assert.ok(plain > 1200 && plain < 1990, `${plain} without DuckDB`);
  } finally {
    db.close();
  }
});
