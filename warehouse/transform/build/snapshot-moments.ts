import { currentRowsSql, logRowsSql } from '../../core/bronze-sql.ts';
import type { AsOf, BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { quoteLiteral, quotePath } from '../../core/quote.ts';
import { reach } from '../graph.ts';
import type { CompiledModel, CompiledProject } from '../model.ts';
import { isReplayable } from '../snapshot-rule.ts';

/**
 * The moments a snapshot looks at. One that reads bronze (or views of it) looks at every commit since the last one it saw, each as bronze was
 * then and at the instant the source was read: its history is the same however the commits are split into builds. One that reads tables
 * sees them once per build.
 */
export interface Moment {
  /** When the source was read, as text of a TIMESTAMPTZ. */
  readonly instant: string;
  /** <source>.<table> → the last commit that counts; absent: bronze as it is. */
  readonly upTo?: ReadonlyMap<string, number>;
}

export interface MomentFacts {
  readonly db: DuckDb;
  readonly project: CompiledProject;
  readonly model: CompiledModel;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  /** Commits the snapshot has seen; undefined for one that has seen none. */
  readonly consumed: Readonly<Record<string, number>> | undefined;
}

/** In order of time; at least one. */
export async function findMoments(facts: MomentFacts): Promise<readonly Moment[]> {
  const { model, consumed } = facts;
  const now: Moment = { instant: instantOfNow(facts) };
  if (!isReplayable(model)) return [now];
  const tables = inputTables(facts);
  const seen = new Map(
    tables.map((table) => {
      const from = seenCommit(consumed, table);
      return [nameOf(table), from] as const;
    }),
  );
  const pending = await readCommits(facts.db, tables, seen);
  const upTo = new Map(seen);
  const moments: Moment[] = [];
  for (const { micros, commits } of pending) {
    for (const { source, commit } of commits)
      for (const table of tables) if (table.source === source) upTo.set(nameOf(table), commit);
    // What a table without a key was before its last replacement, bronze no longer says.
    if (tables.some((table) => (upTo.get(nameOf(table)) ?? 0) < table.replacedAt)) continue;
    moments.push({ instant: toInstant(micros), upTo: new Map(upTo) });
  }
  const isCovered = moments.length > 0 && tables.every((table) => (upTo.get(nameOf(table)) ?? 0) >= table.lastCommit);
  return isCovered ? moments : [...moments, laterOf(now, moments.at(-1))];
}

/** Lets bronze look as it did at a moment, for the tables a snapshot reads. */
export async function mountMoment({ db, ...facts }: MomentFacts, moment: Moment | undefined): Promise<void> {
  for (const table of inputTables(facts)) {
    const last = moment?.upTo?.get(nameOf(table));
    const shown = last === undefined ? table : { ...table, files: table.files.filter(({ commit }) => commit <= last) };
    for (const [catalog, sql] of [
      ['bronze', currentRowsSql(shown)],
      ['bronze_log', logRowsSql(shown)],
    ] as const) {
      await db.run(`create or replace view ${quotePath(catalog, table.source, table.table)} as ${sql}`);
    }
  }
}

function inputTables({ model, bronze }: Pick<MomentFacts, 'model' | 'bronze'>): readonly BronzeTable[] {
  const names = new Set(model.inputs.map((input) => input.slice(input.indexOf('.') + 1)));
  return bronze.tables.filter((table) => names.has(nameOf(table)));
}

function nameOf({ source, table }: BronzeTable): string {
  return `${source}.${table}`;
}

/** A table that a changed definition newly reads counts as seen: what it was earlier does not belong to history that stands already. */
function seenCommit(consumed: Readonly<Record<string, number>> | undefined, table: BronzeTable): number {
  if (consumed === undefined) return 0;
  return consumed[`bronze.${nameOf(table)}`] ?? consumed[`bronze_log.${nameOf(table)}`] ?? table.lastCommit;
}

interface PendingCommits {
  readonly micros: bigint;
  readonly commits: readonly { readonly source: string; readonly commit: number }[];
}

/**
 * Commits not yet seen, by the instant at which their source was read; those of several sources at one instant are one moment. The instants of
 * all commits are read, so that each commit has the same one whichever build sees it: a source's clock may stand still or be set back, its
 * commits still follow one another.
 */
async function readCommits(
  db: DuckDb,
  tables: readonly BronzeTable[],
  seen: ReadonlyMap<string, number>,
): Promise<readonly PendingCommits[]> {
  const files = tables.flatMap((table) =>
    table.files.map(({ commit, path }) => {
      const { source } = table;
      return { source, commit, path, isNew: commit > (seen.get(nameOf(table)) ?? 0) };
    }),
  );
  if (!files.some(({ isNew }) => isNew)) return [];
  const rows = await db.rows<{ file: string; micros: bigint | null }>(
    `select filename as file, epoch_us(max(_extracted_at)) as micros
     from read_parquet([${files.map(({ path }) => quoteLiteral(path)).join(', ')}], union_by_name = true, hive_partitioning = false, filename = true)
     group by filename`,
  );
  const microsOf = new Map(rows.map(({ file, micros }) => [file, micros ?? 0n]));
  const moments = new Map<bigint, { source: string; commit: number }[]>();
  for (const [source, own] of Map.groupBy(files, (file) => file.source)) {
    let latest = -1n;
    const commits = Map.groupBy(own, (file) => file.commit);
    for (const [commit, parts] of [...commits].toSorted(([a], [b]) => a - b)) {
      latest = parts.reduce((last, { path }) => max(last, microsOf.get(path) ?? 0n), latest + 1n);
      if (parts.some(({ isNew }) => isNew)) moments.set(latest, [...(moments.get(latest) ?? []), { source, commit }]);
    }
  }
  return [...moments]
    .map(([micros, commits]) => ({ micros, commits }))
    .toSorted((a, b) => (a.micros < b.micros ? -1 : 1));
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function toInstant(micros: bigint): string {
  const whole = new Date(Number(micros / 1000n)).toISOString().slice(0, 23);
  return `${whole}${String(micros % 1000n).padStart(3, '0')}Z`;
}

function laterOf(now: Moment, last: Moment | undefined): Moment {
  return last === undefined || now.instant >= last.instant ? now : { instant: last.instant };
}

/** When the sources behind a model were last read; for one without a source (a seed's) the beginning of the logical date. */
function instantOfNow({ project, model, bronze, asOf }: MomentFacts): string {
  const inputs = new Map(project.models.map((other) => [other.name, other.inputs]));
  const names = [...model.inputs, ...reach(model.inputs, (name) => inputs.get(name) ?? [])];
  const sources = new Set(names.filter((name) => name.startsWith('bronze')).map((name) => name.split('.')[1] ?? ''));
  const read = [...sources].flatMap((source) => bronze.readAt?.[source] ?? []);
  const [latest] = read
    .map((at) => toInstant(BigInt(Date.parse(at)) * 1000n))
    .toSorted()
    .reverse();
  return latest ?? `${asOf}T00:00:00.000000Z`;
}
