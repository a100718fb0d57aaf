import { type Leaf, leavesOf, wordsOf } from '../../core/parquet/parquet-type.ts';
import {
  dictionaryDeclarations,
  dictionarySave,
  dictionarySource,
  plainBytesDeclarations,
  plainBytesSave,
  plainBytesSource,
} from './decode-bytes.ts';
import { scalarSource } from './decode-scalar.ts';
import { parquetTypeOf, scalarTypeOf, type WireScalar, type WireType, widthOf } from './wire-type.ts';

/** Source of the loop that moves one column's fields into its leaves; leaf k of the column has names that end in k. */

export interface ColumnSource {
  /** Before the loop over rows, and after it. */
  readonly declarations: string;
  readonly save: string;
  /** Per row: the field's length is at p; leaves p behind the field. */
  readonly body: string;
}

/** dictionary: the leaf of a flat text is numbered. */
export function columnSource(wire: WireType, dictionary: boolean): ColumnSource {
  const leaves = leavesOf([{ name: '', type: parquetTypeOf(wire) }]);
  if (wire.kind === 'list') return listSource(leaves, wire.element);
  const width = widthOf(wire);
  const putBits = (at: string): string => leaves.map((_, k) => `v${k}[${at}] = bits;`).join(' ');
  return {
    declarations: `${leaves.map((leaf, k) => leafDeclarations(leaf, k, dictionary)).join('\n')} let bits = v0[firstRow >> 3];`,
    save: `${leaves.map((leaf, k) => leafSave(leaf, k, dictionary)).join(' ')} if (((firstRow + n) & 7) !== 0) { ${putBits('(firstRow + n) >> 3')} }`,
    // The bits of eight rows are put down at once.
    body: `const L = dv.getInt32(p); p = (p + 4) | 0;
      if (L ${width === undefined ? '>= 0' : `=== ${width}`}) {
        ${valueSource(wire, dictionary)}
        bits |= 1 << (row & 7);
        p = (p + L) | 0;
      } else if (L !== -1) bad(column, p);
      if ((row & 7) === 7) { ${putBits('row >> 3')} bits = 0; }`,
  };
}

function leafDeclarations(leaf: Leaf, i: number, dictionary: boolean): string {
  const own = `const l${i} = leaves[firstLeaf + ${i}]; ${leaf.repeated ? '' : `const v${i} = l${i}.valid;`}`;
  if (leaf.words !== 0) return `${own} const d${i} = l${i}.i32; let o${i} = l${i}.count * ${leaf.words};`;
  return `${own} ${dictionary ? dictionaryDeclarations(i) : plainBytesDeclarations(i)}`;
}

function leafSave(leaf: Leaf, i: number, dictionary: boolean): string {
  if (leaf.words !== 0) return `l${i}.count = o${i} / ${leaf.words}; l${i}.used = o${i} * 4;`;
  return dictionary ? dictionarySave(i) : plainBytesSave(i);
}

function valueSource(wire: Exclude<WireType, { readonly kind: 'list' }>, dictionary: boolean): string {
  if (wire.kind === 'timetz') {
    // Postgres counts the seconds west of Greenwich.
    return `d0[o0] = dv.getInt32(p + 4); d0[o0 + 1] = dv.getInt32(p); o0 += 2; d1[o1++] = -dv.getInt32(p + 8);`;
  }
  if (wire.kind === 'interval') {
    // Since Postgres 17 the extremes of all three are infinity, which a struct of numbers has no name for.
    return `const high = dv.getInt32(p), low = dv.getInt32(p + 4), days = dv.getInt32(p + 8), months = dv.getInt32(p + 12);
      if ((months === 2147483647 && days === 2147483647 && high === 2147483647 && low === -1)
        || (months === -2147483648 && days === -2147483648 && high === -2147483648 && low === 0)) bad(column, p);
      d0[o0++] = months; d1[o1++] = days; d2[o2] = low; d2[o2 + 1] = high; o2 += 2;`;
  }
  return scalarPut(wire, dictionary);
}

/** Takes the value at p, of L bytes, into the first leaf. */
function scalarPut(wire: WireScalar, dictionary: boolean): string {
  const put = dictionary ? dictionarySource(0) : plainBytesSource(0);
  if (wire.kind === 'bytes') return put;
  if (wire.kind === 'text') {
    return `${wire.checked ? `if (!isUtf8(b.subarray(p, p + L))) bad(column, p);` : ''} ${put}`;
  }
  if (wire.kind === 'jsonb') {
    return `if (L < 1 || b[p] !== 1) bad(column, p); { const q = p + 1, n = L - 1; { const p = q, L = n; ${put} } }`;
  }
  const words = wordsOf(scalarTypeOf(wire));
  const stores = Array.from({ length: words }, (_, k) => `d0[o0 + ${k}] = w${k};`).join(' ');
  return `${scalarSource(wire)} ${stores} o0 += ${words};`;
}

/** Dimensions (4 bytes), has NULLs, element type; per dimension its size and lower bound; elements. Only lists of one dimension fit; their lower bound is not carried. */
function listSource(leaves: readonly Leaf[], element: WireScalar): ColumnSource {
  const [leaf] = leaves;
  if (leaf === undefined) throw new Error('a list has a leaf');
  const width = widthOf(element);
  const check = width === undefined ? '' : `if (L !== ${width}) bad(column, at);`;
  return {
    declarations: `${leafDeclarations(leaf, 0, false)} const y0 = l0.levels; let z0 = l0.levelCount;`,
    save: `${leafSave(leaf, 0, false)} l0.levelCount = z0;`,
    body: `{ const length = dv.getInt32(p), at = p + 4; p = at;
      if (length === -1) y0[z0++] = 0;
      else {
        if (length < 0) bad(column, at);
        const end = at + length, dimensions = length < 12 ? -1 : dv.getInt32(at);
        if (dimensions === 0) y0[z0++] = 1;
        else {
          if (dimensions !== 1 || length < 20) bad(column, at);
          const size = dv.getInt32(at + 12);
          if (size < 1) bad(column, at);
          p = at + 20;
          for (let k = 0; k < size; k++) {
            if (p + 4 > end) bad(column, at);
            const L = dv.getInt32(p); p += 4;
            if (L < 0) { y0[z0++] = k === 0 ? 2 : 6; continue; }
            if (p + L > end) bad(column, at);
            ${check}
            { ${scalarPut(element, false)} }
            y0[z0++] = k === 0 ? 3 : 7;
            p += L;
          }
          if (p !== end) bad(column, at);
        }
        p = end;
      } }`,
  };
}
