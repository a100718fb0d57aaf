import { SluiceError } from '../../core/errors.ts';
import { SLACK } from '../../core/parquet/leaf-buffer.ts';

/**
 * The bytes of a binary COPY as the server sends them that are not decoded yet, and where its tuples lie in them.
 *
 *   frame    kind (1 byte), length (4 bytes, itself included); of kind d: one tuple, which the protocol promises of a server
 *   header   PGCOPY\n\xff\r\n\0, flags, length of an extension (19 bytes), in one frame with the first tuple
 *   tuple    number of fields (2 bytes), per field its length (4 bytes, -1: NULL) and its value
 *   trailer  -1 (2 bytes)
 *
 * Frames of other kinds stand before, between and behind: the driver's, to whom they are given.
 */
export interface CopyWindow {
  /** Valid until the next add(); SLACK bytes behind the last tuple may be read. */
  bytes(): Uint8Array;
  view(): DataView;
  /** Takes bytes over. What take() returned before is void. */
  add(chunk: Uint8Array): void;
  /** Finds up to `max` whole tuples. Returns how many. Throws for bytes that are no COPY of this many fields. */
  take(max: number, found: FoundTuples): number;
  /** Throws where the fields of one of these tuples do not fill it exactly: take() does not look at them. */
  check(tuples: FoundTuples, n: number): void;
  /** Bytes of the frames taken last, and those of the COPY in all frames so far. */
  taken(): number;
  copied(): number;
  /** True when a frame came that ends the COPY. */
  isOver(): boolean;
  /** A copy of what is not taken: where isOver(), from the frame that ended the COPY on. */
  rest(): Buffer;
  /** Throws where the COPY ended before its trailer. */
  finish(): void;
}

/** Per tuple where it begins, its first field, and its end. */
export interface FoundTuples {
  readonly starts: Int32Array;
  readonly places: Int32Array;
  readonly ends: Int32Array;
}

export interface CopyWindowOptions {
  readonly table: string;
  readonly columns: readonly { readonly name: string }[];
  readonly windowBytes: number;
  readonly tupleBytes: number;
  /** Takes a frame of another kind that does not end the COPY. */
  readonly onFrame: (frame: Buffer) => void;
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const HEADER_BYTES = 19;
const FRAME_BYTES = 5;
const COPY_DATA = 0x64;
/** CopyOutResponse, NoticeResponse, ParameterStatus, NotificationResponse: all that may stand between tuples. Any other ends the COPY. */
const BESIDE: ReadonlySet<number> = new Set(Buffer.from('HNSA', 'latin1'));

/** A window that starts with `windowBytes` and grows for larger tuples. Those above `tupleBytes` are refused: SOURCE_VALUE_UNREPRESENTABLE. */
export function createCopyWindow(options: CopyWindowOptions): CopyWindow {
  const fields = options.columns.length;
  let bytes = new Uint8Array(options.windowBytes + SLACK);
  let view = new DataView(bytes.buffer);
  let start = 0;
  let end = 0;
  let taken = 0;
  let copied = 0;
  /** Bytes that the unfinished frame at `start` is known to have. */
  let known = 0;
  let state: 'header' | 'tuples' | 'ended' = 'header';
  let isOver = false;
  const fault = (what: string): Error => new Error(`The COPY of ${options.table} is malformed: ${what}.`);

  const resize = (size: number): void => {
    const grown = new Uint8Array(size + SLACK);
    grown.set(bytes.subarray(start, end));
    bytes = grown;
    view = new DataView(bytes.buffer);
    end -= start;
    start = 0;
  };

  /** Returns where the header ends. */
  const readHeader = (at: number, frameEnd: number): number => {
    if (SIGNATURE.compare(bytes, at, at + SIGNATURE.length) !== 0) throw fault('it is not in binary format');
    if (frameEnd - at < HEADER_BYTES) throw fault('its header is cut');
    if (view.getInt32(at + 11) !== 0) throw fault(`flags ${view.getInt32(at + 11)}`);
    const extension = view.getInt32(at + 15);
    if (extension !== 0) throw fault(`a header extension of ${extension} bytes`);
    state = 'tuples';
    return at + HEADER_BYTES;
  };

  /** Bytes that a tuple has up to the last field whose length has arrived. */
  const reach = (frame: number): { readonly size: number; readonly field: number } => {
    const tuple = frame + FRAME_BYTES + (state === 'header' ? HEADER_BYTES : 0);
    let next = tuple + 2;
    let field = 0;
    for (; field < fields && next + 4 <= end; field++) {
      const length = view.getInt32(next);
      if (length < -1) throw fault(`a length of ${length} in ${options.columns[field]?.name}`);
      next += length > 0 ? 4 + length : 4;
    }
    return { size: next - tuple, field: field - 1 };
  };

  const refuseLarge = (size: number, field: number): void => {
    if (size <= options.tupleBytes) return;
    const column = options.columns[Math.max(field, 0)]?.name ?? '';
    throw new SluiceError(
      'SOURCE_VALUE_UNREPRESENTABLE',
      `A row of the table ${options.table} has ${size} bytes up to its column ${column}; at most ${options.tupleBytes} are carried.`,
      { remedy: `Leave the column out in models/sources, or make the row smaller in Postgres.`, details: { column } },
    );
  };

  return {
    bytes: () => bytes,
    view: () => view,
    add: (chunk) => {
      const capacity = bytes.length - SLACK;
      const rest = end - start;
      const need = Math.max(rest + chunk.length, known);
      if (need > capacity) resize(Math.max(need, Math.min(capacity * 2, options.tupleBytes)));
      else if (rest === 0 && capacity > 4 * options.windowBytes) resize(Math.max(options.windowBytes, chunk.length));
      else if (rest === 0) start = end = 0;
      else if (chunk.length > capacity - end) {
        bytes.copyWithin(0, start, end);
        start = 0;
        end = rest;
      }
      bytes.set(chunk, end);
      end += chunk.length;
    },
    take: (max, found) => {
      const { starts, places, ends } = found;
      let n = 0;
      let p = start;
      known = 0;
      const b = bytes;
      const v = view;
      const all = end;
      while (n < max && !isOver && p + FRAME_BYTES <= all) {
        const kind = b[p] as number;
        const next = p + 1 + v.getInt32(p + 1);
        if (next < p + FRAME_BYTES) throw fault(`a frame of ${next - p} bytes`);
        if (kind !== COPY_DATA) {
          if (!BESIDE.has(kind)) isOver = true;
          else if (next - p > options.tupleBytes) throw fault(`a message of ${next - p} bytes`);
          else if (next > all) known = next - p;
          else options.onFrame(Buffer.from(b.subarray(p, next)));
          if (isOver || next > all) break;
          p = next;
          continue;
        }
        if (next > all) {
          const { size, field } = reach(p);
          refuseLarge(size, field);
          known = size + FRAME_BYTES;
          break;
        }
        if (state === 'tuples') {
          const before = n;
          n = scanTuples(b, v, p, all, fields, max, found, n);
          if (n > before) {
            const behind = ends[n - 1] as number;
            copied += behind - p - FRAME_BYTES * (n - before);
            p = behind;
            continue;
          }
        }
        let tuple = p + FRAME_BYTES;
        p = next;
        copied += next - tuple;
        if (state === 'header') tuple = readHeader(tuple, next);
        if (state === 'ended') throw fault(`${next - tuple} bytes after its end`);
        // The header, in a frame of its own.
        if (tuple === next) continue;
        const count = next - tuple < 2 ? 0 : v.getInt16(tuple);
        if (count === -1) {
          state = 'ended';
          if (tuple + 2 < next) throw fault(`${next - tuple - 2} bytes after its end`);
          continue;
        }
        if (count !== fields) throw fault(`a row of ${count} fields, where ${fields} are selected`);
        starts[n] = tuple;
        places[n] = tuple + 2;
        ends[n] = next;
        n++;
      }
      taken = p - start;
      start = p;
      return n;
    },
    check: ({ starts, ends }, n) => {
      for (let r = 0; r < n; r++) {
        const tupleEnd = ends[r] as number;
        let next = (starts[r] as number) + 2;
        for (let field = 0; field < fields; field++) {
          const name = options.columns[field]?.name;
          if (next + 4 > tupleEnd) throw fault(`a row that ends before its field ${name}`);
          const length = view.getInt32(next);
          if (length < -1) throw fault(`a length of ${length} in ${name}`);
          next += length > 0 ? 4 + length : 4;
          if (next > tupleEnd) throw fault(`a length of ${length} in ${name}, where the row has less`);
        }
        if (next !== tupleEnd) throw fault(`${tupleEnd - next} bytes behind the last field of a row`);
      }
    },
    taken: () => taken,
    copied: () => copied,
    isOver: () => isOver,
    rest: () => Buffer.from(bytes.subarray(start, end)),
    finish: () => {
      if (state === 'ended') return;
      throw fault(`it ends after ${end - start} bytes of ${state === 'header' ? 'its header' : 'a row'}`);
    },
  };
}

/**
 * Finds whole tuples from `p` on as long as one follows the other, `n` of `max` found before; returns how many are found then. A function of
 * its own for all reads of the process: V8 would optimise a closure of each read anew.
 */
function scanTuples(
  bytes: Uint8Array,
  view: DataView,
  p: number,
  end: number,
  fields: number,
  max: number,
  { starts, places, ends }: FoundTuples,
  n: number,
): number {
  let count = n;
  let at = p;
  // A tuple has at least its number of fields.
  while (count < max && at + FRAME_BYTES + 2 <= end) {
    const next = at + 1 + view.getInt32(at + 1);
    const tuple = at + FRAME_BYTES;
    if (bytes[at] !== COPY_DATA || next > end || next < tuple + 2 || view.getInt16(tuple) !== fields) break;
    starts[count] = tuple;
    places[count] = tuple + 2;
    ends[count] = next;
    count++;
    at = next;
  }
  return count;
}
