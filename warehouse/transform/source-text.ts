import type { SourceLocation } from './source-location.ts';

/** Where things stand in a file's text. */

/** Line and column (both from 1, columns in UTF-16 units as editors count) of an offset into the text. */
export function locate(file: string, text: string, offset: number): SourceLocation {
  const at = Math.max(0, Math.min(offset, text.length));
  let line = 1;
  let lineStart = 0;
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', lineStart)) {
    line += 1;
    lineStart = end + 1;
  }
  return { file, line, column: at - lineStart + 1 };
}

/** UTF-16 offset of a UTF-8 byte offset: DuckDB counts bytes in most places. */
export function offsetOfByte(text: string, byte: number): number {
  let bytes = 0;
  let offset = 0;
  for (const char of text) {
    if (bytes >= byte) return offset;
    bytes += Buffer.byteLength(char);
    offset += char.length;
  }
  return offset;
}

/** UTF-16 offset of a code-point offset: DuckDB's parser errors count characters. */
export function offsetOfCodePoint(text: string, point: number): number {
  let points = 0;
  let offset = 0;
  for (const char of text) {
    if (points >= point) return offset;
    points += 1;
    offset += char.length;
  }
  return offset;
}
