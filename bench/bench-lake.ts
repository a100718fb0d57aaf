import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openBronze } from '../warehouse/bronze/index.ts';
import type { DraftFile } from '../warehouse/core/bronze-commit.ts';
import { openDuckDb } from '../warehouse/core/duckdb.ts';
import { createFolderStore } from '../warehouse/core/folder-store.ts';
import { createLog } from '../warehouse/core/log.ts';
import { quoteLiteral } from '../warehouse/core/quote.ts';

/** Projects and bronze commits that a bench makes up, without a Postgres: what is measured begins at bronze. */

/** Writes files by their paths; a source `app` with these tables is added. */
export async function writeProject(
  dir: string,
  tables: Readonly<Record<string, BenchTable>>,
  files: ReadonlyMap<string, string>,
): Promise<void> {
  const source = {
    kind: 'postgres',
    name: 'app',
    schema: 'app',
    tables: Object.fromEntries(
      Object.entries(tables).map(([name, { columns, key }]) => [
        name,
        { mode: 'full', key, columns: Object.keys(columns) },
      ]),
    ),
  };
  const all = new Map([...files, ['models/sources/app.ts', `export const app = ${JSON.stringify(source)};\n`]]);
  for (const [file, text] of all) {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await writeFile(join(dir, file), text);
  }
}

export interface BenchTable {
  /** Name → DuckDB type. */
  readonly columns: Readonly<Record<string, string>>;
  readonly key: readonly string[];
}

/** Rows of a commit: a query that gives the table's columns and `_op`. */
export type BenchRows = Readonly<Record<string, { readonly table: BenchTable; readonly sql: string }>>;

/** Makes the next commit of the source `app` in the project's folder lake. */
export async function commitRows(dir: string, rows: BenchRows): Promise<void> {
  const store = createFolderStore(join(dir, '.sluice/lake'));
  const bronze = openBronze({ store, log: createLog({ level: 'error' }) });
  const number = (await bronze.head('app')) + 1;
  const work = join(dir, '.sluice/bench');
  await mkdir(work, { recursive: true });
  const db = await openDuckDb({ memoryLimitMb: 1024, tempDirectory: work });
  try {
    const snapshot = await bronze.snapshot(['app']);
    const seq = (BigInt(number) << 32n).toString();
    const drafts: [string, unknown][] = [];
    for (const [name, { table, sql }] of Object.entries(rows)) {
      // A query may read what the table holds so far as `before`.
      const files = snapshot.tables.find((known) => known.table === name)?.files ?? [];
      const before =
        files.length === 0
          ? ''
          : `with before as (select * from read_parquet([${files.map(({ path }) => quoteLiteral(path)).join(', ')}])) `;
      const path = join(work, `${name}.parquet`);
      const list = Object.entries(table.columns).map(([column, type]) => `${column}::${type} as ${column}`);
      await db.run(
        `copy (select ${list.join(', ')}, _op, ${seq} + row_number() over () - 1 as _seq, timestamptz '2026-01-01 00:00:00+00' as _extracted_at
               from (${before}${sql})) to ${quoteLiteral(path)} (format parquet, compression zstd)`,
      );
      drafts.push([name, await draftOf(db, table, path)]);
    }
    await bronze.commit('app', {
      source: 'app',
      number,
      batch: `20260101T000000Z-${createHash('sha256').update(String(number)).digest('hex').slice(0, 12)}`,
      identity: { systemIdentifier: '1', databaseOid: '1', database: 'app', schema: 'app' },
      snapshot: { id: `${number}:${number}:`, at: '2026-01-01T00:00:00.000000Z', lsn: null },
      tables: Object.fromEntries(drafts) as Parameters<typeof bronze.commit>[1]['tables'],
    });
  } finally {
    db.close();
    await rm(work, { recursive: true, force: true });
  }
}

async function draftOf(db: Awaited<ReturnType<typeof openDuckDb>>, { columns, key }: BenchTable, path: string) {
  const [facts] = await db.rows<{ n: bigint; first: bigint; last: bigint; low: string; high: string }>(
    `select count(*) as n, min(_seq) as first, max(_seq) as last, min(${key[0]})::varchar as low, max(${key[0]})::varchar as high
     from read_parquet(${quoteLiteral(path)})`,
  );
  const ops = await db.rows<{ op: string; n: bigint }>(
    `select _op as op, count(*) as n from read_parquet(${quoteLiteral(path)}) group by 1`,
  );
  const file: DraftFile = {
    localPath: path,
    rows: Number(facts?.n ?? 0),
    bytes: (await stat(path)).size,
    sha256: createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
    ops: Object.fromEntries(ops.map(({ op, n }) => [op, Number(n)])),
    firstSeq: String(facts?.first ?? 0n),
    lastSeq: String(facts?.last ?? 0n),
    keyMin: facts?.low ?? null,
    keyMax: facts?.high ?? null,
  };
  return {
    mode: 'full',
    contract: {
      key,
      columns: Object.entries(columns).map(([name, duckdbType]) => ({
        name,
        postgresType: duckdbType.toLowerCase(),
        duckdbType,
        nullable: !key.includes(name),
        policy: 'error',
      })),
    },
    files: [file],
    replaced: false,
    read: { how: 'whole', rows: file.rows, why: null },
    watermark: { before: null, after: null },
  };
}
