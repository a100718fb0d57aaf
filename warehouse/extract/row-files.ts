import { join } from 'node:path';
import type { DraftFile } from '../core/bronze-commit.ts';
import { BRONZE_META_COLUMNS, firstSeqOf, type TableContract } from '../core/bronze-table.ts';
import type { DuckDbQueries } from '../core/duckdb.ts';
import {
  type Compressor,
  createParquetWriter,
  type Extent,
  type GeneratedColumn,
  leavesOf,
  type ParquetColumn,
  type ParquetWriter,
  type RowGroup,
} from '../core/parquet/index.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import { type ColumnRange, printRange } from './column-range.ts';
import { isoInstant, readInstant } from './instant.ts';

/** Row groups into Parquet files of about the size that object stores like, one after another. */

export const FILE_BYTES = 128 * 2 ** 20;

/** A finished file. */
export interface RowFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** First and last `_seq`; null where the rows have none. */
  readonly sequence: { readonly first: bigint; readonly last: bigint } | null;
  /** What the values of its plain columns range over, by name. */
  readonly ranges: ReadonlyMap<string, ColumnRange>;
}

export interface RowFiles {
  write(group: RowGroup): Promise<void>;
  close(): Promise<readonly RowFile[]>;
  abort(): Promise<void>;
}

/** Numbers for rows of one commit, given out in the order row groups are written, whoever reads them. */
export interface RowNumbers {
  /** First number for so many rows more. */
  take(rows: number): bigint;
  taken(): number;
}

export function createRowNumbers(commit: number, offset: number): RowNumbers {
  let taken = 0;
  return {
    take: (rows) => {
      const first = firstSeqOf(commit) + BigInt(offset + taken);
      taken += rows;
      return first;
    },
    taken: () => taken,
  };
}

/** Files `<prefix>-00000.parquet`, … in `dir`. With `meta` each row carries the engine's own columns, as a row read for the first time. */
export function createRowFiles(options: {
  readonly dir: string;
  readonly prefix: string;
  readonly columns: readonly ParquetColumn[];
  readonly meta: { readonly numbers: RowNumbers; readonly extractedAt: string } | null;
  readonly fileBytes?: number;
  readonly compressor?: Compressor | undefined;
}): RowFiles {
  const { meta, fileBytes = FILE_BYTES } = options;
  const done: RowFile[] = [];
  let ending: Promise<void> = Promise.resolve();
  let current: { writer: ParquetWriter; path: string; sequence: { first: bigint; last: bigint } | null } | undefined;
  let files = 0;

  const open = (): NonNullable<typeof current> => {
    const path = join(options.dir, `${options.prefix}-${String(files++).padStart(5, '0')}.parquet`);
    const opened: NonNullable<typeof current> = {
      path,
      sequence: null,
      writer: createParquetWriter({
        path,
        columns: options.columns,
        compressor: options.compressor,
        // Rows without numbers are only compared with.
        flush: meta !== null,
        generated: meta === null ? [] : metaColumns(meta.extractedAt, (rows) => take(opened, meta.numbers, rows)),
      }),
    };
    return opened;
  };
  const finish = async (file: NonNullable<typeof current>): Promise<void> => {
    const { rows, bytes, sha256, extents } = await file.writer.close();
    done.push({
      path: file.path,
      rows,
      bytes,
      sha256,
      sequence: file.sequence,
      ranges: rangesOf(options.columns, extents),
    });
  };
  return {
    write: async (group) => {
      current ??= open();
      const file = current;
      const written = file.writer.writeRowGroup(group);
      // Decided before the group is on disk, so that the groups in flight stay in their order.
      if (file.writer.bytes() >= fileBytes) {
        current = undefined;
        ending = ending.then(() => finish(file));
        ending.catch(() => undefined); // told by close
      }
      await written;
    },
    close: async () => {
      await ending;
      if (current !== undefined) await finish(current);
      current = undefined;
      return done;
    },
    abort: async () => {
      await ending.catch(() => undefined);
      await current?.writer.abort();
      current = undefined;
    },
  };
}

function take(file: { sequence: { first: bigint; last: bigint } | null }, numbers: RowNumbers, rows: number): bigint {
  const first = numbers.take(rows);
  file.sequence = { first: file.sequence?.first ?? first, last: first + BigInt(rows - 1) };
  return first;
}

function metaColumns(extractedAt: string, takeNumbers: (rows: number) => bigint): readonly GeneratedColumn[] {
  const [op, seq, at] = BRONZE_META_COLUMNS;
  return [
    { name: op.name, kind: 'constant', type: { kind: 'string' }, value: 'read' },
    { name: seq.name, kind: 'sequence', take: takeNumbers },
    { name: at.name, kind: 'constant', type: { kind: 'timestamp', utc: true }, value: microsOf(extractedAt) },
  ];
}

/** Microseconds since 1970 of an ISO instant with six digits and Z. */
function microsOf(instant: string): bigint {
  const micros = readInstant(instant);
  if (micros === undefined || isoInstant(micros) !== instant)
    throw new Error(`${JSON.stringify(instant)} is no instant with microseconds`);
  return micros;
}

function rangesOf(columns: readonly ParquetColumn[], extents: readonly Extent[]): ReadonlyMap<string, ColumnRange> {
  const plain = leavesOf(columns).flatMap((leaf, index) =>
    leaf.path.length === 1
      ? [[leaf.path[0] ?? '', { type: leaf.type, extent: extents[index] as Extent }] as const]
      : [],
  );
  return new Map(plain);
}

/** What a commit says of a file of rows that were read for the first time. */
export async function describeRowFile(db: DuckDbQueries, file: RowFile, contract: TableContract): Promise<DraftFile> {
  const key = contract.key[0];
  const own = key === undefined ? { low: null, high: null } : printRange(file.ranges.get(key));
  const [range] =
    own !== undefined
      ? [own]
      : await db.rows<{ low: string | null; high: string | null }>(
          `select min(${quoteIdentifier(key ?? '')})::varchar as low, max(${quoteIdentifier(key ?? '')})::varchar as high from read_parquet(${quoteLiteral(file.path)})`,
        );
  if (file.sequence === null) throw new Error(`${file.path} carries no numbers`);
  return {
    localPath: file.path,
    rows: file.rows,
    bytes: file.bytes,
    sha256: file.sha256,
    ops: { read: file.rows },
    firstSeq: String(file.sequence.first),
    lastSeq: String(file.sequence.last),
    keyMin: range?.low ?? null,
    keyMax: range?.high ?? null,
  };
}
