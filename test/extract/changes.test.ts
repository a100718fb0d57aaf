import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BronzeTable } from '../../warehouse/core/bronze-table.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { differencesSql, tellDifferences } from '../../warehouse/extract/changes.ts';

/** What an increment writes, asked in two ways of the same log. */

test('a telling column changes how rows are found and not which: equal, different, deleted, new and NULL ones', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-changes-'));
  const db = await openDuckDb({ threads: 2 });
  try {
    const columns = [
      { name: 'a', duckdbType: 'INTEGER' },
      { name: 'b', duckdbType: 'VARCHAR' },
      { name: 'at', duckdbType: 'TIMESTAMPTZ' },
      { name: 'x', duckdbType: 'DOUBLE' },
    ];
    const contract = { columns, key: ['a', 'b'] } as unknown as BronzeTable['contract'];
    const value = (
      salt: number,
    ): string => `case when hash(a, ${salt}) % 5 = 0 then null else timestamptz '2024-01-01' + to_hours((hash(a, ${salt}) % 3)::bigint) end as at,
      case hash(a, ${salt + 1}) % 4 when 0 then null when 1 then 'nan'::double when 2 then -0.0::double else 0.0::double end as x`;
    const files: { path: string; commit: number }[] = [];
    for (let commit = 1; commit <= 4; commit++) {
      const path = join(dir, `${commit}.parquet`);
      const op = commit === 1 ? `'read'` : `case when hash(a, ${commit}) % 3 = 0 then 'delete' else 'update' end`;
      await db.run(`copy (select a, b, ${value(commit)}, ${op} as _op, (${commit}::bigint << 32) + row_number() over () as _seq, now() as _extracted_at
        from (select i::integer as a, 'k' || (i % 2) as b from range(2000) t(i)) where ${commit} = 1 or hash(a, 'in', ${commit}) % 4 = 0) to ${quoteLiteral(path)} (format parquet, row_group_size 2048)`);
      files.push({ path, commit });
    }
    const table = { contract, files } as unknown as BronzeTable;
    for (let salt = 1; salt <= 6; salt++) {
      await db.run(`create or replace table incoming as select a, b, ${value(salt)}
        from (select i::integer as a, 'k' || (i % 2) as b from range(1000, 2500) t(i)) where hash(a, 'of', ${salt}) % 2 = 0`);
      const found = async (telling: string | undefined): Promise<string[]> => {
        const query =
          telling === undefined
            ? differencesSql(table, contract, null, { some: true, setAside: false })
            : await tellDifferences(db, table, contract, telling);
        const rows = await db.rows<{ text: string }>(`select (c)::varchar as text from (${query}) as c`);
        return rows.map(({ text }) => text);
      };
      const expected = (await found(undefined)).sort();
      assert.ok(expected.length > 300, `${expected.length} rows`);
      for (const telling of ['at', 'x']) assert.deepEqual((await found(telling)).sort(), expected, telling);
    }
  } finally {
    db.close();
    await rm(dir, { recursive: true, force: true });
  }
});
