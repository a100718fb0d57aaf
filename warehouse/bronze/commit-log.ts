import type { BronzeCommit, BronzeTableState, Quarantined } from '../core/bronze-commit.ts';
import type { TableContract } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { decodeCommit } from './commit-format.ts';

/** Reading the log: bronze/<source>/_log/<20-digit number>.json, numbered from 1 without gaps. */

export function logPrefix(source: string): string {
  return `bronze/${source}/_log/`;
}

export function logKey(source: string, number: number): string {
  return `${logPrefix(source)}${String(number).padStart(20, '0')}.json`;
}

/** Commits after a number, in order. A gap in the numbers is LAKE_CORRUPT: something removed history. */
export async function* readCommits(store: ObjectStore, source: string, after: number): AsyncGenerator<BronzeCommit> {
  let number = after;
  for await (const { key } of store.list(logPrefix(source), { startAfter: logKey(source, after) })) {
    number++;
    if (key !== logKey(source, number)) {
      throw new SluiceError(
        'LAKE_CORRUPT',
        `The log of source ${source} has ${key} where commit ${number} should be.`,
        {
          remedy: `Restore ${logKey(source, number)} from a copy of the lake and remove what does not belong there.`,
        },
      );
    }
    yield decodeCommit(await store.get(key), key, { source, number });
  }
}

/** A table as the log so far describes it; the files are those since its last whole replacement. */
export interface TableHistory extends BronzeTableState {
  readonly contract: TableContract;
  readonly files: readonly { readonly commit: number; readonly key: string; readonly rows: number }[];
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

/** History with one more commit. */
export function foldCommit(history: SourceHistory, commit: BronzeCommit): SourceHistory {
  const tables = new Map(history.tables);
  for (const [name, entry] of Object.entries(commit.tables)) {
    const before = tables.get(name);
    const isWhole = entry.read.how === 'whole' || entry.replaced;
    const files = entry.files.map((file) => ({ commit: commit.number, key: file.key, rows: file.rows }));
    const sameContract = before !== undefined && JSON.stringify(before.contract) === JSON.stringify(entry.contract);
    const changed = files.length > 0 || entry.replaced || !sameContract;
    tables.set(name, {
      contract: entry.contract,
      mode: entry.mode,
      // Only a whole read compares every key: until one does, what was repaired stays so.
      consistency: isWhole ? entry.consistency : before?.consistency === 'repaired' ? 'repaired' : entry.consistency,
      snapshot: entry.read.how === 'range' ? (before?.snapshot ?? null) : commit.snapshot,
      quarantined: addQuarantined(isWhole ? undefined : before, entry.quarantined),
      files: entry.replaced || before === undefined ? files : [...before.files, ...files],
      lastCommit: changed ? commit.number : before.lastCommit,
      replacedAt: entry.replaced ? commit.number : (before?.replacedAt ?? 0),
      watermark: entry.watermark.after,
    });
  }
  return {
    source: history.source,
    number: commit.number,
    identity: commit.identity,
    snapshot: commit.snapshot,
    tables,
  };
}

function addQuarantined(before: TableHistory | undefined, { rows, files }: Quarantined): Quarantined {
  if (before === undefined || before.quarantined.rows === 0) return { rows, files };
  return { rows: before.quarantined.rows + rows, files: [...before.quarantined.files, ...files] };
}
