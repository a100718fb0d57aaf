import {
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBUUIDValue,
} from '@duckdb/node-api';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { type ParquetColumn, type ScalarType, wordsOf } from '../../../warehouse/core/parquet/index.ts';
import { runPyarrow } from '../../support/pyarrow.ts';
import { bytesOf, type Row, type Scalar, type Value } from './fill.ts';

/** What three readers, written by others, see in a file; each value as one text that has all of it. */

export function printRow(columns: readonly ParquetColumn[], row: Row): string[] {
  return columns.map(({ type }, index) => {
    const value = row[index] ?? null;
    if (value === null) return 'null';
    if (type.kind === 'list') {
      return `[${(value as readonly (Scalar | null)[]).map((item) => (item === null ? 'null' : print(type.element, item))).join()}]`;
    }
    if (type.kind === 'struct') {
      const fields = value as Record<string, Scalar>;
      return `{${type.fields.map((field) => print(field.type, fields[field.name] as Scalar)).join()}}`;
    }
    return print(type, value as Scalar);
  });
}

function print(type: ScalarType, value: Scalar): string {
  if (type.kind === 'float' || type.kind === 'double') {
    return Number.isNaN(value) ? 'NaN' : bytesOf(type, value).toString('hex');
  }
  return wordsOf(type) === 0 ? Buffer.from(value as string).toString('hex') : String(value);
}

/** Every row as DuckDB reads it. */
export async function readWithDuckdb(
  connection: DuckDBConnection,
  path: string,
  columns: readonly ParquetColumn[],
): Promise<string[][]> {
  const reader = await connection.runAndReadAll(
    `from read_parquet('${path}', file_row_number = true) order by file_row_number`,
  );
  return reader.getRows().map((row) => printRow(columns, row.slice(0, columns.length).map(fromDuckdb)));
}

function fromDuckdb(value: unknown): Value {
  if (value instanceof DuckDBDateValue) return BigInt(value.days);
  if (value instanceof DuckDBTimeValue) return value.micros;
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.micros;
  if (value instanceof DuckDBUUIDValue) return value.toString();
  if (value instanceof DuckDBDecimalValue) return value.value;
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes);
  if (value instanceof DuckDBListValue) return value.items.map(fromDuckdb) as Scalar[];
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(
      Object.entries(value.entries).map(([name, entry]) => [name, fromDuckdb(entry) as Scalar]),
    );
  }
  return value as Value;
}

/** Every row as hyparquet reads it; decimals come as doubles there, so only their nearest double is compared. */
export async function readWithHyparquet(path: string, columns: readonly ParquetColumn[]): Promise<string[][]> {
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(path),
    compressors,
    parsers: {
      timestampFromMilliseconds: (value: bigint) => value,
      timestampFromMicroseconds: (value: bigint) => value,
      timestampFromNanoseconds: (value: bigint) => value,
      dateFromDays: (value: number) => BigInt(value),
      stringFromBytes: (bytes: Uint8Array) => Buffer.from(bytes),
      jsonFromBytes: (bytes: Uint8Array) => Buffer.from(bytes),
    },
    utf8: false,
  });
  return rows.map((row) =>
    columns.map(({ name, type }) => {
      const value: unknown = row[name];
      if (value === null || value === undefined) return 'null';
      if (type.kind === 'list')
        return `[${(value as unknown[]).map((item) => fromHyparquet(type.element, item)).join()}]`;
      if (type.kind === 'struct') {
        return `{${type.fields.map((field) => fromHyparquet(field.type, (value as Record<string, unknown>)[field.name])).join()}}`;
      }
      return fromHyparquet(type, value);
    }),
  );
}

function fromHyparquet(type: ScalarType, value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (type.kind === 'decimal') return String(Number(value));
  return print(type, value as Scalar);
}

/** Rows as `readWithHyparquet` would print them. */
export function printRowForHyparquet(columns: readonly ParquetColumn[], row: Row): string[] {
  const rounded = (type: ScalarType, text: string): string =>
    type.kind === 'decimal' && text !== 'null' ? String(Number(text) * 10 ** -type.scale) : text;
  const inside = (text: string): string[] => (text.length === 2 ? [] : text.slice(1, -1).split(','));
  return printRow(columns, row).map((text, index) => {
    const { type } = columns[index] as ParquetColumn;
    if (text === 'null') return text;
    if (type.kind === 'list')
      return `[${inside(text)
        .map((item) => rounded(type.element, item))
        .join()}]`;
    if (type.kind === 'struct') {
      const items = inside(text);
      return `{${type.fields.map((field, at) => rounded(field.type, items[at] as string)).join()}}`;
    }
    return rounded(type, text);
  });
}

/** Every row of each file as pyarrow reads it. One run for all files: starting it takes a second. */
export async function readWithPyarrow(paths: readonly string[]): Promise<string[][][]> {
  const printed = await runPyarrow(PYARROW, paths);
  return printed
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as string[][]);
}

const PYARROW = `
import sys, json, struct, uuid
import pyarrow as pa, pyarrow.parquet as pq
def scalar(t, v):
    if v is None: return 'null'
    if pa.types.is_boolean(t): return 'true' if v else 'false'
    if pa.types.is_float32(t): return 'NaN' if v != v else struct.pack('<f', v).hex()
    if pa.types.is_float64(t): return 'NaN' if v != v else struct.pack('<d', v).hex()
    if pa.types.is_decimal(t): return str(int(v.scaleb(t.scale)))
    if isinstance(v, str): return v.encode().hex()
    if isinstance(v, uuid.UUID): return str(v)
    if isinstance(v, bytes): return v.hex()
    return str(v)
def raw(a):
    t = a.type
    if isinstance(t, pa.ExtensionType) or isinstance(t, pa.BaseExtensionType):
        return scalars(a, t)
    if pa.types.is_list(t):
        inner = values(a.flatten())
        out, at = [], 0
        for n in a.value_lengths().to_pylist():
            if n is None: out.append('null')
            else:
                out.append('[' + ','.join(inner[at:at+n]) + ']'); at += n
        return out
    if pa.types.is_struct(t):
        fields = [values(a.field(i)) for i in range(t.num_fields)]
        return ['{' + ','.join(f[i] for f in fields) + '}' if ok else 'null' for i, ok in enumerate(a.is_valid().to_pylist())]
    if pa.types.is_date32(t): a = a.cast(pa.int32()); t = a.type
    if pa.types.is_timestamp(t) or pa.types.is_time64(t): a = a.cast(pa.int64()); t = a.type
    return scalars(a, t)
def scalars(a, t): return [scalar(t, v) for v in a.to_pylist()]
def values(a): return raw(a)
import decimal
decimal.getcontext().prec = 60
for path in sys.argv[1:]:
    table = pq.ParquetFile(path, page_checksum_verification=False).read().combine_chunks()
    columns = [values(c.chunk(0)) if c.num_chunks else [] for c in table.columns]
    print(json.dumps([list(r) for r in zip(*columns)]))
`;
