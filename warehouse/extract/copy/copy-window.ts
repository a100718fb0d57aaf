import { SluiceError } from '../../core/errors.ts';
import { SLACK } from '../../core/parquet/leaf-buffer.ts';

/**
 * The bytes of a binary COPY that have arrived and are not decoded yet, and where its tuples lie in them.
 *
 *   header   PGCOPY\n\xff\r\n\0, flags, length of an extension (19 bytes), in one piece with the first tuple
 *   tuple    number of fields (2 bytes), per field its length (4 bytes, -1: NULL) and its value
 *   trailer  -1 (2 bytes)
 */
export interface CopyWindow {
  /** Valid until the next add(); SLACK bytes behind the last tuple may be read. */
  bytes(): Uint8Array;
  view(): DataView;
  /** Takes bytes over. What take() returned before is void. */
  add(chunk: Uint8Array): void;
  /** Finds up to `max` whole tuples: where each begins, and its first field. Returns how many. Throws for bytes that are no COPY of this many fields. */
  take(max: number, starts: Int32Array, places: Int32Array): number;
  /** Bytes of the tuples taken last. */
  taken(): number;
  /** Throws where the stream ended before its trailer. */
  finish(): void;
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const HEADER_BYTES = 19;

/** A window that starts with `windowBytes` and grows for larger tuples. Those above `tupleBytes` are refused: SOURCE_VALUE_UNREPRESENTABLE. */
export function createCopyWindow(options: {
  readonly table: string;
  readonly columns: readonly { readonly name: string }[];
  readonly windowBytes: number;
  readonly tupleBytes: number;
}): CopyWindow {
  const fields = options.columns.length;
  let bytes = new Uint8Array(options.windowBytes + SLACK);
  let view = new DataView(bytes.buffer);
  let start = 0;
  let end = 0;
  let taken = 0;
  /** Bytes that the unfinished tuple at `start` is known to have. */
  let known = 0;
  let state: 'header' | 'tuples' | 'ended' = 'header';
  const fault = (what: string): Error => new Error(`The COPY of ${options.table} is malformed: ${what}.`);

  const resize = (size: number): void => {
    const grown = new Uint8Array(size + SLACK);
    grown.set(bytes.subarray(start, end));
    bytes = grown;
    view = new DataView(bytes.buffer);
    end -= start;
    start = 0;
  };

  const readHeader = (): boolean => {
    if (end - start < HEADER_BYTES) return false;
    if (SIGNATURE.compare(bytes, start, start + SIGNATURE.length) !== 0) throw fault('it is not in binary format');
    if (view.getInt32(start + 11) !== 0) throw fault(`flags ${view.getInt32(start + 11)}`);
    const extension = view.getInt32(start + 15);
    if (extension !== 0) throw fault(`a header extension of ${extension} bytes`);
    start += HEADER_BYTES;
    state = 'tuples';
    return true;
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
    take: (max, starts, places) => {
      taken = 0;
      if (state === 'header' && !readHeader()) return 0;
      let n = 0;
      let p = start;
      known = 0;
      const v = view;
      const all = end;
      while (n < max && state === 'tuples' && p + 2 <= all) {
        const count = v.getInt16(p);
        if (count === -1) {
          state = 'ended';
          p += 2;
          break;
        }
        if (count !== fields) throw fault(`a row of ${count} fields, where ${fields} are selected`);
        let next = p + 2;
        let field = 0;
        while (field < fields && next + 4 <= all) {
          const length = v.getInt32(next);
          if (length < -1) throw fault(`a length of ${length} in ${options.columns[field]?.name}`);
          next += length > 0 ? 4 + length : 4;
          field++;
        }
        if (field < fields || next > all) {
          known = next - p;
          refuseLarge(known, field - 1);
          break;
        }
        starts[n] = p;
        places[n] = p + 2;
        n++;
        p = next;
      }
      taken = p - start;
      start = p;
      if (state === 'ended' && start < end) throw fault(`${end - start} bytes after its end`);
      return n;
    },
    taken: () => taken,
    finish: () => {
      if (state === 'ended') return;
      throw fault(`it ends after ${end - start} bytes of ${state === 'header' ? 'its header' : 'a row'}`);
    },
  };
}
