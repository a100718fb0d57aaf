import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../../warehouse/core/quote.ts';
import { asOfMacro, createMacroSql } from '../../../warehouse/transform/index.ts';
import { compile, modelText } from './project.ts';

async function openWithMacros(): Promise<DuckDb> {
  const { macros } = await compile({ 'sql/silver/app/m.sql': modelText('select 1 as x') });
  const db = await openDuckDb({ threads: 1 });
  for (const macro of [asOfMacro('2026-02-28'), ...macros]) await db.run(createMacroSql(macro, 'temp'));
  return db;
}

/** n / d in millionths, half away from zero, on whole numbers. */
function ratioOf(n: bigint, d: bigint): bigint | null {
  if (d === 0n) return null;
  const [top, bottom] = [n < 0n ? -n : n, d < 0n ? -d : d];
  const rounded = (2n * top * 1_000_000n + bottom) / (2n * bottom);
  return n < 0n !== d < 0n ? -rounded : rounded;
}

test('ratio() is exact to the sixth place, half away from zero, for decimals of either sign', async (t) => {
  const db = await openWithMacros();
  t.after(() => db.close());
  const cents = fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n });
  const pairs = fc.sample(
    fc.tuple(
      fc.oneof(cents, fc.bigInt({ min: -9n, max: 9n })),
      fc.oneof(fc.bigInt({ min: -2000n, max: 2000n }), cents),
    ),
    { seed: 7, numRuns: 4000 },
  );
  // Exactly halfway: n / 2,000,000 with n odd.
  pairs.push([1n, 2_000_000n], [-1n, 2_000_000n], [3n, -2_000_000n], [-5n, -2_000_000n], [0n, 0n], [0n, 5n]);
  await db.run('create table pairs (i integer, n decimal(18, 2), d decimal(18, 2))');
  const values = pairs.map(([n, d], i) => `(${i}, ${n}::decimal(18, 0) * 0.01, ${d}::decimal(18, 0) * 0.01)`);
  await db.run(`insert into pairs values ${values.join(', ')}`);
  const rows = await db.rows<{ i: number; r: string | null; type: string }>(
    'select i, ratio(n, d) as r, typeof(ratio(n, d)) as type from pairs order by i',
  );
  let checked = 0;
  for (const { i, r, type } of rows) {
    const [n, d] = pairs[i] ?? [0n, 0n];
    const expected = ratioOf(n, d);
    assert.equal(type, 'DECIMAL(18,6)');
    assert.equal(r === null ? null : BigInt(r.replace('.', '')), expected, `${n} / ${d}`);
    checked += 1;
  }
  assert.equal(checked, pairs.length);
});

test('ratio() of nothing by something, or of something by nothing, is NULL', async (t) => {
  const db = await openWithMacros();
  t.after(() => db.close());
  const [row] = await db.rows(
    'select ratio(1, 0) as a, ratio(0, 0) as b, ratio(null, 2) as c, ratio(2, null) as d, ratio(2::bigint, 3) as e, ratio(-2, 3::hugeint) as f',
  );
  assert.deepEqual(row, { a: null, b: null, c: null, d: null, e: '0.666667', f: '-0.666667' });
});

test('ratio() overflows with an error, never with a wrong number', async (t) => {
  const db = await openWithMacros();
  t.after(() => db.close());
  await assert.rejects(db.rows('select ratio(1000000000000000, 0.001) as x'), /out of range|Could not cast|overflow/i);
  await assert.rejects(
    db.rows('select ratio(100000000000000000000000::hugeint, 1) as x'),
    /out of range|Could not cast|overflow/i,
  );
});

test("mean() is the exact mean of the values there are, and not DuckDB's own mean", async (t) => {
  const db = await openWithMacros();
  t.after(() => db.close());
  const [row] = await db.rows(
    'select mean(x) as m, typeof(mean(x)) as type, mean(x) filter_none from (values (0.10::decimal(14, 2)), (0.20), (null), (0.20)) t(x)',
  );
  assert.deepEqual(row, { m: '0.166667', type: 'DECIMAL(18,6)', filter_none: '0.166667' });
  const [none] = await db.rows('select mean(x) as m from (select null::integer as x)');
  assert.deepEqual(none, { m: null });
});

test('as_of() and a project macro live in a file under its own catalog, where a view finds them when it is opened alone', async (t) => {
  const { macros } = await compile({
    'sql/macros/past.sql': '-- up to today\ncreate macro past(d) as d <= as_of();',
    'sql/silver/app/m.sql': modelText('select 1 as x'),
  });
  assert.deepEqual(
    macros.map(({ name }) => name),
    ['past', 'ratio', 'mean'],
  );
  const dir = await mkdtemp(join(tmpdir(), 'sluice-macros-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, 'gold.duckdb');
  const builder = await openDuckDb({ threads: 1 });
  await builder.run(`attach ${quoteLiteral(path)} as gold`);
  const all = [asOfMacro('2026-02-28'), ...macros];
  for (const macro of all) await builder.run(createMacroSql(macro, 'temp'));
  for (const macro of all) await builder.run(createMacroSql(macro, { catalog: 'gold' }));
  await builder.run(
    "create view gold.main.v as select past(date '2026-02-28') as a, past(date '2026-03-01') as b, mean(x) as m from (values (1), (2)) t(x)",
  );
  builder.close();
  const reader = await openDuckDb({ path, readOnly: true, threads: 1 });
  t.after(() => reader.close());
  assert.deepEqual(await reader.rows('from gold.main.v'), [{ a: true, b: false, m: '1.500000' }]);
});
