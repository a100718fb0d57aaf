import type { RowGroup } from '../../core/parquet/leaf-buffer.ts';
import type { CarriedColumn } from './carried-as.ts';
import { createCopyWindow } from './copy-window.ts';
import { WireFault } from './generate-decoder.ts';
import { cut, misfitError, misfitReason, type QuarantinedRow, SHOWN_CHARACTERS } from './misfit.ts';
import { createRowGroupMemory, createRowGroups, PASS_ROWS, type RowGroupMemory } from './row-groups.ts';
import { wireText } from './wire-text.ts';
import { canMisfit } from './wire-type.ts';

export interface CopyLimits {
  /** Of a row group. */
  readonly rows: number;
  /** Of a row group in memory, roughly: it ends with the rows of the pass that reached it. */
  readonly bytes: number;
  /** Bytes of the stream held before they are decoded; more for a row that is larger. */
  readonly windowBytes: number;
  /** Larger rows are refused. */
  readonly tupleBytes: number;
  /** Row groups handed to the sink and not yet done with. */
  readonly inFlight: number;
}

export const COPY_LIMITS: CopyLimits = {
  rows: 122_880,
  bytes: 64 << 20,
  windowBytes: 1 << 20,
  tupleBytes: 512 << 20,
  inFlight: 2,
};

export interface CopyDecoderOptions {
  /** Schema and name, for messages. */
  readonly table: string;
  /** Key columns, which name the row of a value that does not fit. */
  readonly key: readonly string[];
  readonly columns: readonly CarriedColumn[];
  readonly limits: CopyLimits;
  /** Of the same columns and limits; default: its own. */
  readonly memory?: RowGroupMemory | undefined;
  /** Called for each row left out. */
  readonly onQuarantine?: ((row: QuarantinedRow) => void) | undefined;
  /** Takes frames that are the driver's, between rows. */
  readonly onFrame: (frame: Buffer) => void;
}

/** From the bytes a server sends for a binary COPY to row groups, without a JavaScript value per field. add(), then next() until it yields nothing; at last end(). */
export interface CopyDecoder {
  add(chunk: Uint8Array): void;
  /** The next full row group, undefined when more bytes are needed. Throws SOURCE_VALUE_UNREPRESENTABLE, after which nothing more may be called. */
  next(): RowGroup | undefined;
  /** True when all frames of the COPY are decoded; `rest` are the bytes behind them. */
  isOver(): boolean;
  rest(): Buffer;
  /** The last rows; throws where the COPY ended too early. */
  end(): RowGroup | undefined;
  /** Gives a group's buffers back. */
  recycle(group: RowGroup): void;
  /** Rows that arrived, and those of them that were left out. */
  rows(): number;
  quarantined(): number;
  /** Bytes of the COPY so far. */
  bytes(): number;
}

export function createCopyDecoder(options: CopyDecoderOptions): CopyDecoder {
  const { columns, table, limits, onFrame } = options;
  const { windowBytes, tupleBytes } = limits;
  const window = createCopyWindow({ table, columns, windowBytes, tupleBytes, onFrame });
  const memory = options.memory ?? createRowGroupMemory(columns, limits);
  const groups = createRowGroups(columns, limits, memory);
  const starts = new Int32Array(PASS_ROWS);
  const places = new Int32Array(PASS_ROWS);
  const ends = new Int32Array(PASS_ROWS);
  const tuples = { starts, places, ends };
  const watched = columns.flatMap((column, i) => (column.policy === 'quarantine' && canMisfit(column.wire) ? [i] : []));
  let rows = 0;
  let quarantined = 0;

  const keyOf = (tuple: number): Record<string, string | null> =>
    Object.fromEntries(
      options.key.map((name) => {
        const index = columns.findIndex((column) => column.name === name);
        const field = index < 0 ? undefined : fieldAt(window.view(), tuple, index);
        const wire = columns[index]?.wire;
        const isThere = field !== undefined && field.length >= 0 && wire !== undefined;
        return [name, isThere ? wireText(wire, window.bytes(), field.place, field.length) : null];
      }),
    );

  /** Leaves out the tuples that have a misfit in a column that quarantines, before anything of them is decoded. Returns how many remain. */
  const withoutMisfits = (n: number): number => {
    let kept = 0;
    for (let r = 0; r < n; r++) {
      const tuple = starts[r] as number;
      const found = firstMisfit(tuple);
      if (found === undefined) {
        starts[kept] = tuple;
        ends[kept] = ends[r] as number;
        places[kept++] = tuple + 2;
        continue;
      }
      quarantined++;
      options.onQuarantine?.({ key: Object.values(keyOf(tuple)), ...found });
    }
    return kept;
  };
  const firstMisfit = (tuple: number): Omit<QuarantinedRow, 'key'> | undefined => {
    const view = window.view();
    let p = tuple + 2;
    let column = 0;
    for (const index of watched) {
      for (; column < index; column++) p += 4 + Math.max(0, view.getInt32(p));
      const length = view.getInt32(p);
      const { wire, name } = columns[index] as CarriedColumn;
      const reason = length < 0 ? undefined : misfitReason(wire, window.bytes(), p + 4, length);
      if (reason === undefined) continue;
      const value = wireText(wire, window.bytes(), p + 4, length);
      return { column: name, value: cut(value, SHOWN_CHARACTERS), reason };
    }
    return undefined;
  };

  const explain = (fault: WireFault, n: number): Error => {
    let tuple = starts[0] as number;
    for (let r = 1; r < n && (starts[r] as number) <= fault.place; r++) tuple = starts[r] as number;
    const column = columns[fault.column] as CarriedColumn;
    const { place, length } = fieldAt(window.view(), tuple, fault.column);
    if (misfitReason(column.wire, window.bytes(), place, length) !== undefined) {
      const value = wireText(column.wire, window.bytes(), place, length);
      return misfitError(table, column, keyOf(tuple), value);
    }
    const what = `a value of ${length} bytes in ${column.name} is no ${column.wire.kind}`;
    return new Error(`The COPY of ${table} is malformed: ${what} (${column.postgresType}).`);
  };

  return {
    add: (chunk) => window.add(chunk),
    next: () => {
      for (;;) {
        const room = groups.room();
        if (room === 0) return groups.take();
        const found = window.take(Math.min(room, PASS_ROWS), tuples);
        if (found === 0) return undefined;
        rows += found;
        if (watched.length > 0) window.check(tuples, found);
        const n = watched.length === 0 ? found : withoutMisfits(found);
        if (n === 0) continue;
        try {
          groups.decode(window.bytes(), window.view(), places, n, window.taken());
        } catch (error) {
          window.check(tuples, n);
          throw error instanceof WireFault ? explain(error, n) : error;
        }
        // The decoders went from field to field by their lengths: each row has to end where its frame does.
        const r = firstDifference(places, ends, n);
        if (r === n) continue;
        window.check(tuples, n);
        throw new Error(`The COPY of ${table} is malformed: a row of ${ends[r]} bytes was decoded up to ${places[r]}.`);
      }
    },
    isOver: () => window.isOver(),
    rest: () => window.rest(),
    end: () => {
      window.finish();
      return groups.take();
    },
    recycle: (group) => memory.recycle(group),
    rows: () => rows,
    quarantined: () => quarantined,
    bytes: () => window.copied(),
  };
}

/** The first of `n` places where both differ; n: nowhere. */
function firstDifference(a: Int32Array, b: Int32Array, n: number): number {
  let r = 0;
  while (r < n && a[r] === b[r]) r++;
  return r;
}

/** Where a tuple's field has its value, and its length. */
function fieldAt(view: DataView, tuple: number, index: number): { readonly place: number; readonly length: number } {
  let p = tuple + 2;
  for (let k = 0; k < index; k++) p += 4 + Math.max(0, view.getInt32(p));
  return { place: p + 4, length: view.getInt32(p) };
}
