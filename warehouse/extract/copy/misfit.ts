import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../../core/errors.ts';
import type { CarriedColumn } from './carried-as.ts';
import { INFINITY_MICROS, LAST_MICROS } from './decode-scalar.ts';
import { createReadNumeric, HEADER_BYTES, SPECIAL } from './numeric.ts';
import { wireText } from './wire-text.ts';
import { duckdbNameOf, parquetTypeOf, type WireScalar, type WireType } from './wire-type.ts';

/** Values that a column's Parquet type cannot hold. Read field by field: for tables that quarantine, and to explain a decoder's fault. */

/** A row left out. */
export interface QuarantinedRow {
  /** Values of the table's key, in its order; null where NULL. */
  readonly key: readonly (string | null)[];
  readonly column: string;
  /** As Postgres prints it, at most 1,000 characters. */
  readonly value: string;
  readonly reason: string;
}

export const SHOWN_CHARACTERS = 1_000;
const SHOWN_IN_MESSAGE = 100;

/** Why the value of `length` bytes at `p` does not fit, undefined where it does. */
export function misfitReason(wire: WireType, bytes: Uint8Array, p: number, length: number): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + p, length);
  if (wire.kind === 'list') return listReason(wire.element, bytes, p, view);
  const name = duckdbNameOf(parquetTypeOf(wire));
  if (wire.kind === 'numeric') {
    // Malformed, which is another error: its digits would be read from behind it.
    if (length < HEADER_BYTES || length !== HEADER_BYTES + 2 * view.getInt16(0)) return undefined;
    if ((view.getUint16(4) & SPECIAL) === SPECIAL) return `${name} has no ${wireText(wire, bytes, p, length)}`;
    return createReadNumeric(wire.precision, wire.scale)(view, 0, length) ? undefined : `${name} has fewer digits`;
  }
  if (wire.kind === 'timestamp') {
    const micros = length === 8 ? view.getBigInt64(0) : 0n;
    return micros > LAST_MICROS && micros !== INFINITY_MICROS
      ? `${name} ends at 294247-01-10 04:00:54.775806`
      : undefined;
  }
  if (wire.kind === 'interval') {
    return length === 16 && /infinity/.test(wireText(wire, bytes, p, length)) ? `${name} has no infinity` : undefined;
  }
  return wire.kind === 'text' && wire.checked && !isUtf8(bytes.subarray(p, p + length)) ? 'it is not UTF-8' : undefined;
}

function listReason(element: WireScalar, bytes: Uint8Array, p: number, view: DataView): string | undefined {
  const dimensions = view.byteLength < 12 ? 0 : view.getInt32(0);
  if (dimensions > 1) return `a list has one dimension, the value ${dimensions}`;
  for (let at = 12 + 8 * dimensions; at + 4 <= view.byteLength; ) {
    const length = view.getInt32(at);
    at += 4;
    if (length < 0) continue;
    if (at + length > view.byteLength) return undefined;
    const reason = misfitReason(element, bytes, p + at, length);
    if (reason !== undefined) return reason;
    at += length;
  }
  return undefined;
}

/** SOURCE_VALUE_UNREPRESENTABLE for the value of a row. */
export function misfitError(
  table: string,
  column: CarriedColumn,
  key: Readonly<Record<string, string | null>>,
  value: string,
): SluiceError {
  const values = Object.entries(key).map(([name, part]) => `${name} = ${part}`);
  const where = values.length === 0 ? 'a row' : `the row ${values.join(', ')}`;
  const what = `${column.name} of ${where} is ${cut(value, SHOWN_IN_MESSAGE)} (${column.postgresType}), which ${column.duckdbType} cannot hold`;
  return new SluiceError(
    'SOURCE_VALUE_UNREPRESENTABLE',
    `The table ${table} holds a value that cannot be carried unchanged: ${what}.`,
    {
      remedy: `Correct the value in Postgres, leave the column out, or say in models/sources what becomes of such values: unrepresentable: { ${column.name}: 'text' } carries the column as text, 'quarantine' leaves such rows out.`,
      details: { table, column: column.name, key: Object.values(key), value: cut(value, SHOWN_IN_MESSAGE) },
    },
  );
}

/** At most `characters` of a text; a character of two units is not split. */
export function cut(text: string, characters: number): string {
  if (text.length <= characters) return text;
  return text.slice(0, characters).replace(/[\ud800-\udbff]$/, '');
}
