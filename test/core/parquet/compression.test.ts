import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { createCompressor } from '../../../warehouse/core/parquet/compression.ts';

test('pages of every size, many at once, come back as they were, each in one frame that says its size', async () => {
  const sizes = [1, 47, 100, 5_000, 65_536, 300_000, 1_000_000, 5_000_000];
  // Results in 64 KB, of which most pages need several, and in 4 MB.
  for (const rows of [1, 1_000_000]) {
    const compressor = createCompressor(1, rows);
    const pages = Array.from({ length: 80 }, (_, i) => {
      const size = sizes[i % sizes.length] ?? 1;
      if (i % 3 === 0) return randomBytes(size);
      const page = Buffer.alloc(size);
      for (let k = 0; k < size; k += 5) page[k] = (k * i) % 251;
      return page;
    });
    const pressed = await Promise.all(pages.map((page) => compressor.compress(page)));
    for (const [i, page] of pages.entries()) {
      const { bytes, isWorth } = pressed[i] ?? { bytes: new Uint8Array(0), isWorth: true };
      assert.ok(zstdDecompressSync(bytes).equals(page), `page ${i} of ${page.length} bytes`);
      assert.equal(contentSizeOf(bytes), page.length, `page ${i}`);
      if (page.length >= 5_000) assert.equal(isWorth, i % 3 !== 0, `page ${i} of ${page.length} bytes`);
    }
    compressor.close();
  }
});

test('pages that cannot be compressed fail by themselves: those that wait behind them are compressed', async () => {
  const compressor = createCompressor(1, 1_000);
  // No bytes at all stand for a context that the system gives no memory.
  const bad = Array.from({ length: 20 }, () => compressor.compress(null as unknown as Uint8Array));
  const good = Array.from({ length: 20 }, (_, i) => compressor.compress(Buffer.alloc(1_000, i)));
  for (const { status } of await Promise.allSettled(bad)) assert.equal(status, 'rejected');
  for (const [i, { bytes }] of (await Promise.all(good)).entries())
    assert.ok(zstdDecompressSync(bytes).equals(Buffer.alloc(1_000, i)));
  compressor.close();
});

/** RFC 8878: the frame header states it in 1, 2, 4 or 8 bytes, behind the window's byte where there is one. */
function contentSizeOf(frame: Uint8Array): number | undefined {
  const bytes = Buffer.from(frame);
  const descriptor = bytes[4] ?? 0;
  const single = (descriptor & 0x20) !== 0;
  const at = single ? 5 : 6;
  const width = descriptor >> 6;
  if (width === 0) return single ? bytes[at] : undefined;
  if (width === 1) return bytes.readUInt16LE(at) + 256;
  return width === 2 ? bytes.readUInt32LE(at) : Number(bytes.readBigUInt64LE(at));
}
