import { DICTIONARY_SLOTS } from '../../core/parquet/leaf-buffer.ts';

/**
 * Source of the part of a decoder that takes over p … p + L as bytes, plain or numbered by a dictionary. Names beside those of scalarSource():
 * of leaf i its memory (t<i> view, u<i> bytes, o<i> used), or its dictionary (see below). Words are read beyond the value's end: there is slack.
 */

/** Longer values are copied by the engine's own routine. */
const LONG_BYTES = 256;

export function plainBytesDeclarations(i: number): string {
  return `const t${i} = l${i}.view, u${i} = l${i}.u8; let o${i} = l${i}.used, c${i} = l${i}.count;`;
}

export function plainBytesSave(i: number): string {
  return `l${i}.used = o${i}; l${i}.count = c${i};`;
}

export function plainBytesSource(i: number): string {
  return `t${i}.setInt32(o${i}, L, true); o${i} += 4; ${copySource(`t${i}`, `u${i}`, `o${i}`)} o${i} += L; c${i}++;`;
}

/** Slots, hashes and places of the entries, the values' numbers, the entries' bytes. */
export function dictionaryDeclarations(i: number): string {
  return `const s${i} = l${i}.slots, h${i} = l${i}.hashes, a${i} = l${i}.places, x${i} = l${i}.indexes, t${i} = l${i}.dictionaryView, u${i} = l${i}.dictionaryU8;
    let e${i} = l${i}.entries, o${i} = l${i}.dictionaryUsed, c${i} = l${i}.count;`;
}

export function dictionarySave(i: number): string {
  return `l${i}.entries = e${i}; l${i}.dictionaryUsed = o${i}; l${i}.count = c${i};`;
}

/** Looks the bytes up word by word, the last word without the bytes behind the value. */
export function dictionarySource(i: number): string {
  return `const whole = L & ~3, rest = L & 3;
    let h = L;
    for (let k = 0; k < whole; k += 4) { h = Math.imul(h ^ dv.getInt32(p + k, true), -1640531535); h ^= h >>> 15; }
    const mask = (1 << (rest * 8)) - 1, tail = rest === 0 ? 0 : dv.getInt32(p + whole, true) & mask;
    if (rest !== 0) { h = Math.imul(h ^ tail, -1640531535); h ^= h >>> 15; }
    let slot = h & ${DICTIONARY_SLOTS - 1}, e = 0;
    for (;;) {
      e = s${i}[slot];
      if (e === 0) {
        h${i}[e${i}] = h; a${i}[e${i}] = o${i};
        e = ++e${i}; s${i}[slot] = e;
        t${i}.setInt32(o${i}, L, true); o${i} += 4;
        ${copySource(`t${i}`, `u${i}`, `o${i}`)}
        o${i} += L;
        break;
      }
      if (h${i}[e - 1] === h) {
        const place = a${i}[e - 1];
        if (t${i}.getInt32(place, true) === L) {
          let k = 0;
          while (k < whole && t${i}.getInt32(place + 4 + k, true) === dv.getInt32(p + k, true)) k += 4;
          if (k >= whole && (rest === 0 || (t${i}.getInt32(place + 4 + whole, true) & mask) === tail)) break;
        }
      }
      slot = (slot + 1) & ${DICTIONARY_SLOTS - 1};
    }
    x${i}[c${i}++] = e - 1;`;
}

function copySource(view: string, bytes: string, at: string): string {
  return `if (L > ${LONG_BYTES}) ${bytes}.set(b.subarray(p, p + L), ${at});
    else for (let k = 0; k < L; k += 4) ${view}.setInt32(${at} + k, dv.getInt32(p + k, true), true);`;
}
