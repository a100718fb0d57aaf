import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBronze } from '../../warehouse/bronze/index.ts';
import type { BronzeState } from '../../warehouse/core/bronze-commit.ts';
import { quarantineRowsSql, writeQuarantine } from '../../warehouse/core/bronze-quarantine.ts';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { commitDraft, tableDraft } from './drafts.ts';

const log = createLog({ level: 'silent' });
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-bronze-format-'));
});
after(() => rm(root, { recursive: true, force: true }));

interface Expected {
  readonly sources: BronzeState['sources'];
  readonly tables: Record<string, { readonly rows: unknown[] } & Record<string, unknown>>;
}

async function rowsOf(sql: string): Promise<unknown[]> {
  const db = await openDuckDb();
  try {
    return await db.rows(sql);
  } finally {
    db.close();
  }
}

test('a lake of format 1 says what it said then, and takes new commits', async () => {
  const golden = fileURLToPath(new URL('golden/format-1', import.meta.url));
  await cp(join(golden, 'lake'), join(root, 'old'), { recursive: true });
  const expected = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')) as Expected;
  const store = createFolderStore(join(root, 'old'));
  const state = await openBronze({ store, log }).state(['app']);
  const [source] = state.sources;
  const [was] = expected.sources;
  assert.deepEqual({ ...source, tables: null }, { ...was, tables: null });
  for (const [name, table] of Object.entries(was?.tables ?? {})) {
    const { snapshot, ...now } = source?.tables.get(name) ?? {};
    assert.deepEqual(now, { ...table, consistency: 'exact', quarantined: { rows: 0, files: [] } });
    assert.match(snapshot?.id ?? '', /^\d+:\d+:/);
  }
  assert.deepEqual(Object.keys(expected.tables).sort(), ['bag', 'orgs', 'payments']);
  for (const table of state.snapshot.tables) {
    const { files, contract, lastCommit, replacedAt } = table;
    const { rows, ...facts } = expected.tables[table.table] ?? { rows: [] };
    const found = { table: table.table, contract, lastCommit, replacedAt };
    assert.deepEqual({ ...found, files: files.map(({ commit, rows: n }) => ({ commit, rows: n })) }, facts);
    const now = await rowsOf(
      `select columns(c -> c not in ('_seq', '_extracted_at')) from (${currentRowsSql(table)}) order by all`,
    );
    assert.deepEqual(JSON.parse(JSON.stringify(now)), rows, table.table);
  }
  const bronze = openBronze({ store, log });
  await bronze.commit('app', commitDraft(4, 'new', { payments: await tableDraft(root, 'x') }));
  const commits = await Array.fromAsync(openBronze({ store, log }).commits('app'));
  assert.deepEqual(
    commits.map((commit) => [commit.number, commit.format]),
    [1, 2, 3, 4].map((number) => [number, 2]),
  );
  const raw = JSON.parse(new TextDecoder().decode(await store.get(`bronze/app/_log/${'4'.padStart(20, '0')}.json`)));
  assert.equal((raw as { format: number }).format, 2);
});

test('rows set aside lie beside their table and stand in the state until a whole read names others', async () => {
  const store = createFolderStore(join(root, 'aside'));
  const bronze = openBronze({ store, log });
  const odd = { key: { id: '7', 'b "q"': null }, column: 'née', value: '99999-12-31 \n"x"', reason: 'beyond DATE' };
  const aside = async (...rows: (typeof odd)[]) => {
    const file = await writeQuarantine(join(root, `aside-${Math.random()}`), rows);
    return file === undefined ? [] : [file];
  };
  const cursor = { how: 'cursor', rows: 1, why: null } as const;
  const whole = { how: 'whole', rows: 1, why: null } as const;
  assert.deepEqual(await aside(), [], 'no rows, no file');
  const commits = [
    { read: whole, quarantined: await aside(odd, { ...odd, key: { ...odd.key, id: '8' } }), rows: 2, files: 1 },
    { read: cursor, quarantined: await aside(odd), rows: 3, files: 2 },
    { read: { ...cursor, how: 'sweep' } as const, quarantined: [], rows: 3, files: 2 },
    { read: { ...cursor, how: 'range' } as const, quarantined: await aside(odd), rows: 4, files: 3 },
    { read: whole, quarantined: await aside(odd), rows: 1, files: 1 },
    { read: whole, quarantined: [], rows: 0, files: 0 },
  ];
  for (const [index, { rows, files, ...table }] of commits.entries()) {
    await bronze.commit('app', commitDraft(index + 1, `b${index}`, { t: await tableDraft(root, undefined, table) }));
    const { quarantined, mode } = (await openBronze({ store, log }).state(['app'])).sources[0]?.tables.get('t') ?? {};
    assert.deepEqual([quarantined?.rows, quarantined?.files.length, mode], [rows, files, 'full'], `commit ${index}`);
    if (index !== 0) continue;
    const key = quarantined?.files[0]?.key ?? '';
    assert.equal(key, 'bronze/app/t/b0/quarantine-00000.ndjson');
    const read = await rowsOf(
      `select key['id'] as id, key['b "q"'] as b, "column", value, reason from (${quarantineRowsSql([{ path: await store.toLocalFile(key), bytes: quarantined?.files[0]?.bytes ?? 0 }])}) order by 1`,
    );
    const { column, value, reason } = odd;
    assert.deepEqual(read, [
      { id: '7', b: null, column, value, reason },
      { id: '8', b: null, column, value, reason },
    ]);
  }
});

test('a table’s state tells its consistency and the snapshot that a sweep may begin at', async () => {
  const store = createFolderStore(join(root, 'sweep'));
  const bronze = openBronze({ store, log });
  const read = (how: 'whole' | 'range' | 'sweep') => ({ read: { how, rows: 1, why: null } });
  const steps = [
    {
      u: await tableDraft(root, 'u1', { ...read('whole'), mode: 'append' as const, consistency: 'repaired' as const }),
    },
    { t: await tableDraft(root, 't1', read('range')) },
    { u: await tableDraft(root, 'u2', { ...read('range'), mode: 'append' as const }) },
    { t: await tableDraft(root, 't2', read('sweep')) },
  ];
  for (const [index, tables] of steps.entries()) {
    const draft = commitDraft(index + 1, `b${index}`, tables);
    await bronze.commit('app', { ...draft, snapshot: { ...draft.snapshot, id: `${index + 1}:${index + 1}:` } });
  }
  const tables = (await openBronze({ store, log }).state(['app'])).sources[0]?.tables ?? new Map();
  const shape = [...tables].map(([name, { mode, consistency, snapshot }]) => [name, mode, consistency, snapshot?.id]);
  assert.deepEqual(shape, [
    ['u', 'append', 'repaired', '1:1:'],
    ['t', 'full', 'exact', '4:4:'],
  ]);
});

test('a commit of format 1 with the words of format 2 is refused, and so is the reverse', async () => {
  const store = createFolderStore(join(root, 'mixed'));
  await openBronze({ store, log }).commit('app', commitDraft(1, 'b', { t: await tableDraft(root, 'x') }));
  const key = `bronze/app/_log/${'1'.padStart(20, '0')}.json`;
  const written = JSON.parse(new TextDecoder().decode(await store.get(key))) as { tables: { t: object } };
  const { quarantined: _quarantined, ...without } = written.tables.t as { quarantined: unknown };
  for (const [damaged, code] of [
    [{ ...written, format: 1 }, 'LAKE_CORRUPT'],
    [{ ...written, tables: { t: without } }, 'LAKE_CORRUPT'],
    [{ ...written, format: '2' }, 'LAKE_CORRUPT'],
    [{ ...written, format: 0 }, 'LAKE_FORMAT_UNKNOWN'],
  ] as const) {
    await store.delete(key);
    await store.putIfAbsent(key, new TextEncoder().encode(JSON.stringify(damaged)));
    await assert.rejects(openBronze({ store, log }).head('app'), (error: unknown) => isSluiceError(error, code));
  }
});
