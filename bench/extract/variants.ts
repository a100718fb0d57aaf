import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { OurJob } from './run-ours.ts';
import type { WriterJob } from './run-writer.ts';
import { SCHEMA, selectSql } from './table.ts';

/** One way to carry the table, as the command of a child process. */
export interface Variant {
  readonly name: string;
  /** Rows it carries of `rows`. */
  readonly share: number;
  command(table: string, rows: number, dir: string): readonly [string, ...string[]];
}

export const OURS = 'ours';
export const COPY = 'copy_to_null';
export const EXTENSION = 'duckdb_extension';
/** The JavaScript writers need minutes for what the others do in seconds. */
const WRITER_SHARE = 0.1;

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export function ourCommand(job: OurJob): readonly [string, ...string[]] {
  return [process.execPath, script('run-ours.ts'), JSON.stringify(job)];
}

export function copyCommand(url: string, selectSql: string): readonly [string, ...string[]] {
  return [process.execPath, script('run-copy.ts'), JSON.stringify({ url, selectSql })];
}

/** Those that can run here, and the names of those that cannot. */
export async function findVariants(
  url: string,
  { python, modules }: { readonly python: string | undefined; readonly modules: string | undefined },
): Promise<{ readonly present: readonly Variant[]; readonly absent: readonly string[] }> {
  const peers = await findPeers(python);
  const writers = (['parquetjs_lite', 'hyparquet_writer'] as const).filter((way) => hasModule(modules, way));
  const ours = (name: string, connections: number): Variant => ({
    name,
    share: 1,
    command: (table, _rows, dir) => ourCommand({ url, table, dir, connections }),
  });
  const present: Variant[] = [
    { name: COPY, share: 1, command: (table) => copyCommand(url, selectSql(table)) },
    ours(OURS, 1),
    ours(`${OURS}_2_connections`, 2),
    ...peers.map((way) => ({
      name: way,
      share: 1,
      command: (table: string, _rows: number, dir: string): readonly [string, ...string[]] => [
        python ?? '',
        script('run_peer.py'),
        JSON.stringify({ way, url, dir, schema: SCHEMA, table, select_sql: selectSql(table) }),
      ],
    })),
    ...writers.map((way) => ({
      name: way,
      share: WRITER_SHARE,
      command: (table: string, rows: number, dir: string): readonly [string, ...string[]] => {
        const job: WriterJob = {
          url,
          dir,
          way,
          modules: modules ?? '',
          selectSql: `${selectSql(table)} limit ${rows}`,
        };
        return [process.execPath, script('run-writer.ts'), JSON.stringify(job)];
      },
    })),
  ];
  const names = new Set(present.map((variant) => variant.name));
  return { present, absent: OTHERS.filter((name) => !names.has(name)) };
}

const OTHERS = [EXTENSION, 'connectorx', 'dlt', 'dlt_connectorx', 'parquetjs_lite', 'hyparquet_writer'] as const;

async function findPeers(python: string | undefined): Promise<readonly string[]> {
  if (python === undefined) return [];
  const { stdout } = await promisify(execFile)(python, [script('run_peer.py'), '{}']);
  return JSON.parse(stdout) as string[];
}

function hasModule(modules: string | undefined, way: WriterJob['way']): boolean {
  if (modules === undefined) return false;
  try {
    createRequire(join(modules, 'package.json')).resolve(way.replace('_', '-'));
    return true;
  } catch {
    return false;
  }
}
