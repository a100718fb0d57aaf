import type { BronzeCommit, BronzeTableState, QuarantineFile } from '../core/bronze-commit.ts';
import type { TableContract } from '../core/bronze-table.ts';

/** What the log of a source says when it is read from its first commit to the last. A change of the rules here needs another CHECKPOINT_FORMAT. */

export interface HistoryFile {
  readonly commit: number;
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
}

/** A table as the log so far describes it; the files are those since its last whole replacement. */
export interface TableHistory extends BronzeTableState {
  readonly contract: TableContract;
  readonly files: readonly HistoryFile[];
  readonly lastCommit: number;
  readonly replacedAt: number;
}

export interface SourceHistory {
  readonly source: string;
  readonly number: number;
  readonly identity: BronzeCommit['identity'] | null;
  readonly snapshot: BronzeCommit['snapshot'] | null;
  readonly tables: ReadonlyMap<string, TableHistory>;
}

export function emptyHistory(source: string): SourceHistory {
  return { source, number: 0, identity: null, snapshot: null, tables: new Map() };
}

/** A table while commits are added: its lists grow in place, since copying them per commit would take the square of the log's length. */
interface GrowingTable {
  table: TableHistory | undefined;
  files: HistoryFile[];
  aside: (QuarantineFile & { readonly commit: number })[];
}

/** History with more commits, in order. The history given stays as it is. */
export async function foldCommits(
  history: SourceHistory,
  commits: AsyncIterable<BronzeCommit> | Iterable<BronzeCommit>,
): Promise<SourceHistory> {
  const growing = new Map<string, GrowingTable>();
  let last: BronzeCommit | undefined;
  for await (const commit of commits) {
    for (const [name, entry] of Object.entries(commit.tables)) {
      const known = growing.get(name) ?? startGrowing(history.tables.get(name));
      growing.set(name, known);
      addCommit(known, commit, entry);
    }
    last = commit;
  }
  if (last === undefined) return history;
  const tables = new Map(history.tables);
  for (const [name, { table, files, aside }] of growing) {
    if (table === undefined) continue;
    const rows = aside.reduce((sum, file) => sum + file.rows, 0);
    tables.set(name, { ...table, files, quarantined: { rows, files: aside } });
  }
  const { number, identity, snapshot } = last;
  return { source: history.source, number, identity, snapshot, tables };
}

function startGrowing(table: TableHistory | undefined): GrowingTable {
  return { table, files: [...(table?.files ?? [])], aside: [...(table?.quarantined.files ?? [])] };
}

function addCommit(known: GrowingTable, commit: BronzeCommit, entry: BronzeCommit['tables'][string]): void {
  const before = known.table;
  const isWhole = entry.read.how === 'whole' || entry.replaced;
  if (entry.replaced) known.files = [];
  if (isWhole) known.aside = [];
  for (const { key, rows, bytes } of entry.files) known.files.push({ commit: commit.number, key, rows, bytes });
  for (const file of entry.quarantined.files) known.aside.push({ ...file, commit: commit.number });
  const sameContract = before !== undefined && JSON.stringify(before.contract) === JSON.stringify(entry.contract);
  const changed = entry.files.length > 0 || entry.replaced || !sameContract;
  known.table = {
    contract: sameContract ? before.contract : entry.contract,
    mode: entry.mode,
    // Only a whole read compares every key: until one does, what was repaired stays so.
    consistency: !isWhole && before?.consistency === 'repaired' ? 'repaired' : entry.consistency,
    snapshot: entry.read.how === 'range' ? (before?.snapshot ?? null) : commit.snapshot,
    quarantined: { rows: 0, files: [] },
    files: [],
    lastCommit: changed ? commit.number : before.lastCommit,
    replacedAt: entry.replaced ? commit.number : (before?.replacedAt ?? 0),
    watermark: entry.watermark.after,
  };
}
