/**
 * Definition and repetition levels, and the numbers of dictionary entries: Parquet's hybrid of runs of one value and bit-packed groups of
 * eight. A run's header is a varint: number of values * 2, or number of groups * 2 + 1.
 */

/** Equal bytes of a bitmap from which on a run is shorter than packing. */
const RUN_BYTES = 8;
/** Equal groups of eight levels from which on a run is shorter than packing. */
const RUN_GROUPS = 4;

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let bits = byte; bits > 0; bits >>= 1) ones += bits & 1;
  return ones;
});

/** Bits set among `count` bits of a bitmap, from bit `from` on. */
export function countOnes(bitmap: Uint8Array, from: number, count: number): number {
  let ones = 0;
  let bit = from;
  const end = from + count;
  while (bit < end && (bit & 7) !== 0) ones += bitAt(bitmap, bit++);
  for (; bit + 8 <= end; bit += 8) ones += ONES[bitmap[bit >> 3] as number] as number;
  while (bit < end) ones += bitAt(bitmap, bit++);
  return ones;
}

/** One run: `count` times the same value of `width` bits (at most 16). */
export function encodeRun(value: number, count: number, width: number): Uint8Array {
  const out = new Uint8Array(8);
  return out.subarray(0, putRun(out, 0, value, count, width));
}

/** `count` bits of a validity bitmap, from bit `from` on, as levels of one bit. */
export function encodeBitmap(bitmap: Uint8Array, from: number, count: number): Uint8Array {
  const bytes = (count + 7) >> 3;
  const bits = alignBits(bitmap, from, count);
  const out = new Uint8Array(bytes + Math.floor(bytes / RUN_BYTES) * 5 + 21);
  let to = 0;
  let packed = 0;
  let at = 0;
  while (at < bytes) {
    const byte = bits[at] as number;
    let end = at + 1;
    if (byte === 0 || byte === 0xff) while (end < bytes && bits[end] === byte) end++;
    if (end - at >= RUN_BYTES) {
      to = putPacked(out, to, bits, packed, at);
      to = putRun(out, to, byte & 1, Math.min(end * 8, count) - at * 8, 1);
      packed = end;
    }
    at = end;
  }
  return out.subarray(0, putPacked(out, to, bits, packed, bytes));
}

/** `count` levels, one byte each and below 2 ** width. */
export function encodeLevels(levels: Uint8Array, count: number, width: 1 | 2): Uint8Array {
  const groups = (count + 7) >> 3;
  const bits = new Uint8Array(groups * width);
  const same = new Uint8Array(groups);
  for (let group = 0; group < groups; group++) {
    const start = group * 8;
    const end = Math.min(start + 8, count);
    const first = levels[start] as number;
    let equal = 1;
    let packed = 0;
    for (let i = start; i < end; i++) {
      const level = levels[i] as number;
      if (level !== first) equal = 0;
      packed |= level << ((i - start) * width);
    }
    same[group] = equal;
    for (let k = 0; k < width; k++) bits[group * width + k] = packed >> (8 * k);
  }
  const out = new Uint8Array(bits.length + Math.floor(groups / RUN_GROUPS) * 5 + 21);
  let to = 0;
  let packed = 0;
  let at = 0;
  while (at < groups) {
    let end = at + 1;
    const level = levels[at * 8] as number;
    if (same[at] === 1) while (end < groups && same[end] === 1 && levels[end * 8] === level) end++;
    if (end - at >= RUN_GROUPS) {
      to = putPacked(out, to, bits, packed * width, at * width, width);
      to = putRun(out, to, level, Math.min(end * 8, count) - at * 8, width);
      packed = end;
    }
    at = end;
  }
  return out.subarray(0, putPacked(out, to, bits, packed * width, bits.length, width));
}

/** Numbers of `width` bits (1 to 16), packed as one run of groups behind the byte that says the width; returns where it ends in `out`. */
export function packIndexes(
  indexes: Int32Array,
  from: number,
  to: number,
  width: number,
  out: Uint8Array,
  at: number,
): number {
  const groups = (to - from + 7) >> 3;
  out[at] = width;
  let place = putVarint(out, at + 1, groups * 2 + 1);
  const end = place + groups * width;
  if (width === 8) {
    for (let i = from; i < to; i++) out[place++] = indexes[i] as number;
  } else {
    let held = 0;
    let bits = 0;
    for (let i = from; i < to; i++) {
      held |= (indexes[i] as number) << bits;
      bits += width;
      while (bits >= 8) {
        out[place++] = held;
        held >>>= 8;
        bits -= 8;
      }
    }
    if (bits > 0) out[place++] = held;
  }
  out.fill(0, place, end);
  return end;
}

function bitAt(bitmap: Uint8Array, bit: number): number {
  return ((bitmap[bit >> 3] as number) >> (bit & 7)) & 1;
}

/** Bits from a byte's first bit on, zeros behind the last one. */
function alignBits(bitmap: Uint8Array, from: number, count: number): Uint8Array {
  const bytes = (count + 7) >> 3;
  const start = from >> 3;
  const shift = from & 7;
  const out = bitmap.slice(start, start + bytes);
  if (shift > 0) {
    for (let i = 0; i < bytes; i++) {
      out[i] = ((bitmap[start + i] as number) >> shift) | ((bitmap[start + i + 1] ?? 0) << (8 - shift));
    }
  }
  if ((count & 7) > 0) out[bytes - 1] = (out[bytes - 1] as number) & ((1 << (count & 7)) - 1);
  return out;
}

function putRun(out: Uint8Array, at: number, value: number, count: number, width: number): number {
  let to = putVarint(out, at, count * 2);
  out[to++] = value;
  if (width > 8) out[to++] = value >> 8;
  return to;
}

/** Packed groups of `width` bytes; nothing where there are none. */
function putPacked(out: Uint8Array, at: number, bits: Uint8Array, from: number, end: number, width = 1): number {
  if (from === end) return at;
  const to = putVarint(out, at, ((end - from) / width) * 2 + 1);
  out.set(bits.subarray(from, end), to);
  return to + end - from;
}

function putVarint(out: Uint8Array, at: number, value: number): number {
  let to = at;
  let rest = value;
  for (; rest > 127; rest >>>= 7) out[to++] = (rest & 127) | 128;
  out[to++] = rest;
  return to;
}
