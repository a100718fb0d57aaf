import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { measure, readJob } from './measure.ts';

/** The JavaScript writers as their own documentation shows them: pg's rows as objects, portion by portion. Neither has a writer for DECIMAL values: amounts are text. */

export interface WriterJob {
  readonly url: string;
  readonly selectSql: string;
  readonly dir: string;
  /** A folder with the package in its node_modules. */
  readonly modules: string;
  readonly way: 'parquetjs_lite' | 'hyparquet_writer';
}

type Row = Readonly<Record<string, unknown>>;

interface ParquetJs {
  readonly ParquetSchema: new (fields: Readonly<Record<string, object>>) => object;
  readonly ParquetWriter: {
    openFile(
      schema: object,
      path: string,
    ): Promise<{ appendRow(row: Row): Promise<void>; close(): Promise<void>; setRowGroupSize(rows: number): void }>;
  };
}

interface Hyparquet {
  readonly parquetWriteFile: (options: {
    filename: string;
    columnData: readonly { name: string; data: readonly unknown[]; type: string }[];
    rowGroupSize: number;
  }) => void | Promise<void>;
}

const PORTION = 10_000;
const ROW_GROUP_ROWS = 100_000;

/** By Postgres' type number, the two libraries' names; everything else is text. */
const TYPES: Readonly<Record<number, { readonly parquetjs: string; readonly hyparquet: string }>> = {
  16: { parquetjs: 'BOOLEAN', hyparquet: 'BOOLEAN' },
  20: { parquetjs: 'INT64', hyparquet: 'INT64' },
  23: { parquetjs: 'INT32', hyparquet: 'INT32' },
  1184: { parquetjs: 'TIMESTAMP_MILLIS', hyparquet: 'TIMESTAMP' },
};

const job = readJob() as WriterJob;
const path = join(job.dir, 'rows.parquet');
const entry = createRequire(join(job.modules, 'package.json')).resolve(job.way.replace('_', '-'));
const library: unknown = await import(pathToFileURL(entry).href);

pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text);
pg.types.setTypeParser(pg.types.builtins.JSONB, (text) => text);
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => BigInt(text));

await measure(async () => {
  if (job.way === 'parquetjs_lite') await writeParquetJs((library as { default: ParquetJs }).default);
  else await writeHyparquet(library as Hyparquet);
  return [path];
});

async function writeParquetJs({ ParquetSchema, ParquetWriter }: ParquetJs): Promise<void> {
  let writer: Awaited<ReturnType<ParquetJs['ParquetWriter']['openFile']>> | undefined;
  for await (const { fields, rows } of portions()) {
    if (writer === undefined) {
      const columns = fields.map(({ name, dataTypeID }) => [
        name,
        { type: TYPES[dataTypeID]?.parquetjs ?? 'UTF8', optional: true, compression: 'SNAPPY' },
      ]);
      writer = await ParquetWriter.openFile(new ParquetSchema(Object.fromEntries(columns)), path);
      writer.setRowGroupSize(ROW_GROUP_ROWS);
    }
    for (const row of rows) await writer.appendRow(row);
  }
  await writer?.close();
}

async function writeHyparquet({ parquetWriteFile }: Hyparquet): Promise<void> {
  const columns = new Map<string, { name: string; data: unknown[]; type: string }>();
  for await (const { fields, rows } of portions()) {
    for (const { name, dataTypeID } of fields) {
      const column = columns.get(name) ?? { name, data: [], type: TYPES[dataTypeID]?.hyparquet ?? 'STRING' };
      columns.set(name, column);
      for (const row of rows) column.data.push(row[name]);
    }
  }
  await parquetWriteFile({ filename: path, columnData: [...columns.values()], rowGroupSize: ROW_GROUP_ROWS });
}

async function* portions(): AsyncGenerator<{ readonly fields: readonly pg.FieldDef[]; readonly rows: readonly Row[] }> {
  const client = new pg.Client({ connectionString: job.url });
  await client.connect();
  try {
    await client.query(`begin read only; declare portions no scroll cursor for ${job.selectSql}`);
    for (;;) {
      const { fields, rows } = await client.query<Row>(`fetch ${PORTION} from portions`);
      if (rows.length === 0) return;
      yield { fields, rows };
    }
  } finally {
    await client.end();
  }
}
