import { isUtf8 } from 'node:buffer';
import type { LeafBuffer } from '../../core/parquet/leaf-buffer.ts';
import { columnSource } from './decode-column.ts';
import { createReadNumeric, DOUBLE_DIGITS, limbs } from './numeric.ts';
import type { WireType } from './wire-type.ts';

/**
 * Decodes one column's fields of `n` whole tuples into leaves, rows firstRow … firstRow + n - 1. places[r] is where the field of tuple r begins,
 * and afterwards the next one. Throws a WireFault.
 */
export type DecodeColumn = (
  leaves: readonly LeafBuffer[],
  firstLeaf: number,
  column: number,
  bytes: Uint8Array,
  view: DataView,
  places: Int32Array,
  firstRow: number,
  n: number,
) => void;

/** A field that its decoder did not take. */
export class WireFault extends Error {
  readonly column: number;
  /** Where the field's value, or a value in it, begins in the window. */
  readonly place: number;

  constructor(column: number, place: number) {
    super(`field ${column} at ${place}`);
    this.name = 'WireFault';
    this.column = column;
    this.place = place;
  }
}

/** Columns of one type share a function, in every table: what was compiled for one is warm for the next. */
const generated = new Map<string, DecodeColumn>();

/**
 * The decoder for columns of a type; dictionary: their texts are numbered. One short loop per column and pass measured 1.6 times as fast as one
 * loop over all columns of a row, and a table of 1,600 columns needs no more code than its types do.
 */
export function decoderFor(wire: WireType, dictionary: boolean): DecodeColumn {
  const name = `${JSON.stringify(wire)} ${dictionary}`;
  const known = generated.get(name);
  if (known !== undefined) return known;
  const made = generateDecoder(wire, dictionary);
  generated.set(name, made);
  return made;
}

function generateDecoder(wire: WireType, dictionary: boolean): DecodeColumn {
  const source = columnSource(wire, dictionary);
  const body = `'use strict';
    const swap = (x) => ((x & 255) << 24) | ((x & 65280) << 8) | ((x >>> 8) & 65280) | (x >>> 24);
    return function decodeColumn(leaves, firstLeaf, column, b, dv, places, firstRow, n) {
      ${source.declarations}
      for (let r = 0; r < n; r++) {
        const row = firstRow + r;
        let p = places[r];
        ${source.body}
        places[r] = p;
      }
      ${source.save}
    };`;
  // The source holds numbers only: no name or value of a table gets into it.
  // oxlint-disable-next-line typescript/no-implied-eval -- a generated loop is what makes this path fast
  const compile = new Function('bad', 'limbs', 'isUtf8', 'readNumeric', body) as (
    ...values: readonly unknown[]
  ) => DecodeColumn;
  const scalar = wire.kind === 'list' ? wire.element : wire;
  const isLong = scalar.kind === 'numeric' && scalar.precision > DOUBLE_DIGITS;
  return compile(throwFault, limbs, isUtf8, isLong ? createReadNumeric(scalar.precision, scalar.scale) : undefined);
}

function throwFault(column: number, place: number): never {
  throw new WireFault(column, place);
}
