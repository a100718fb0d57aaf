import { numericText } from './numeric.ts';
import type { WireScalar, WireType } from './wire-type.ts';

/** Values of single fields as text, close to what Postgres prints: for messages and reports, never for data. */

/** The value of `length` bytes at `p`. */
export function wireText(wire: WireType, bytes: Uint8Array, p: number, length: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset + p, length);
  if (wire.kind === 'timetz') return `${timeText(view.getBigInt64(0))}${offsetText(-view.getInt32(8))}`;
  if (wire.kind === 'interval') return intervalText(view);
  return wire.kind === 'list' ? listText(wire.element, view) : scalarText(wire, view);
}

function scalarText(wire: WireScalar, view: DataView): string {
  switch (wire.kind) {
    case 'bool':
      return view.getUint8(0) === 0 ? 'f' : 't';
    case 'int2':
      return String(view.getInt16(0));
    case 'int4':
      return String(view.getInt32(0));
    case 'int8':
      return String(view.getBigInt64(0));
    case 'uint4':
      return String(view.getUint32(0));
    case 'uint8':
      return String(view.getBigUint64(0));
    case 'float4':
      return String(Math.fround(view.getFloat32(0)));
    case 'float8':
      return String(view.getFloat64(0));
    case 'date': {
      const days = view.getInt32(0);
      if (days === 2_147_483_647) return 'infinity';
      return days === -2_147_483_648 ? '-infinity' : dateText(days);
    }
    case 'time':
      return timeText(view.getBigInt64(0));
    case 'timestamp':
      return timestampText(view.getBigInt64(0), wire.utc);
    case 'uuid':
      return textBytes(view)
        .toString('hex')
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    case 'numeric':
      return numericText(view, 0);
    case 'money':
      return fixedText(view.getBigInt64(0), wire.digits);
    case 'bytes':
      return `\\x${textBytes(view).toString('hex')}`;
    case 'text':
      return textBytes(view).toString('utf8');
    case 'jsonb':
      return textBytes(view).subarray(1).toString('utf8');
    default:
      throw new Error(`no such field: ${JSON.stringify(wire satisfies never)}`);
  }
}

function textBytes(view: DataView): Buffer {
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

function fixedText(units: bigint, digits: number): string {
  const text = String(units < 0n ? -units : units).padStart(digits + 1, '0');
  const sign = units < 0n ? '-' : '';
  return digits === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

const DAY = 86_400_000_000n;

function timestampText(micros: bigint, utc: boolean): string {
  if (micros === 2n ** 63n - 1n) return 'infinity';
  if (micros === -(2n ** 63n)) return '-infinity';
  const within = ((micros % DAY) + DAY) % DAY;
  const date = dateText(Number((micros - within) / DAY));
  const zone = utc ? '+00' : '';
  const [day, era] = date.split(' ') as [string, string?];
  return `${day} ${timeText(within)}${zone}${era === undefined ? '' : ` ${era}`}`;
}

/** Days since 2000 in the Gregorian calendar, carried back before its beginning; the era last. */
function dateText(days: number): string {
  // Counted from 0000-03-01, in cycles of 400 years: a year then ends with its leap day.
  const shifted = days + 730_425;
  const cycle = Math.floor(shifted / 146_097);
  const ofCycle = shifted - cycle * 146_097;
  const yearOfCycle = Math.floor(
    (ofCycle - Math.floor(ofCycle / 1460) + Math.floor(ofCycle / 36_524) - Math.floor(ofCycle / 146_096)) / 365,
  );
  const ofYear = ofCycle - (365 * yearOfCycle + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100));
  const fromMarch = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * fromMarch + 2) / 5) + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const year = cycle * 400 + yearOfCycle + (month <= 2 ? 1 : 0);
  const two = (value: number): string => String(value).padStart(2, '0');
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0');
  return `${shown}-${two(month)}-${two(day)}${year > 0 ? '' : ' BC'}`;
}

function timeText(micros: bigint): string {
  const seconds = micros / 1_000_000n;
  const two = (value: bigint): string => String(value).padStart(2, '0');
  const fraction = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return fraction === '' ? clock : `${clock}.${fraction}`;
}

function offsetText(seconds: number): string {
  const size = Math.abs(seconds);
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60, size % 60].map((n) => String(n).padStart(2, '0'));
  while (parts.length > 1 && parts.at(-1) === '00') parts.pop();
  return `${seconds < 0 ? '-' : '+'}${parts.join(':')}`;
}

function intervalText(view: DataView): string {
  const [micros, days, months] = [view.getBigInt64(0), view.getInt32(8), view.getInt32(12)];
  if (months === 2_147_483_647 && days === 2_147_483_647) return 'infinity';
  if (months === -2_147_483_648 && days === -2_147_483_648) return '-infinity';
  const clock = `${micros < 0n ? '-' : ''}${timeText(micros < 0n ? -micros : micros)}`;
  return `${months} mons ${days} days ${clock}`;
}

/** Braces nest by dimension; lower bounds are left out. Anything else than an array shows as its bytes. */
function listText(element: WireScalar, view: DataView): string {
  const dimensions = view.byteLength < 12 ? -1 : view.getInt32(0);
  if (dimensions === 0) return '{}';
  if (dimensions < 0 || dimensions > 6 || view.byteLength < 12 + 8 * dimensions) {
    return `\\x${textBytes(view).toString('hex')}`;
  }
  let p = 12 + 8 * dimensions;
  const level = (depth: number): string => {
    const items: string[] = [];
    for (let i = 0; i < view.getInt32(12 + 8 * depth) && p < view.byteLength; i++) {
      if (depth + 1 < dimensions) {
        items.push(level(depth + 1));
        continue;
      }
      const length = view.getInt32(p);
      p += 4;
      if (length < 0) items.push('NULL');
      else items.push(itemText(scalarText(element, new DataView(view.buffer, view.byteOffset + p, length))));
      p += Math.max(length, 0);
    }
    return `{${items.join(',')}}`;
  };
  return level(0);
}

function itemText(text: string): string {
  if (text !== '' && !/[\s{},"\\]/.test(text) && text.toUpperCase() !== 'NULL') return text;
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
