/** Our own Parquet encoder: columns in memory in, a file out. */

export { type Compressor, createCompressor } from './compression.ts';
export type { LeafBuffer, RowGroup } from './leaf-buffer.ts';
export { DICTIONARY_MAX_BYTES, DICTIONARY_MAX_ENTRIES, DICTIONARY_SLOTS, SLACK } from './leaf-buffer.ts';
export {
  createLeafBuffer,
  ensureBytes,
  ensureCount,
  ensureLevels,
  giveUpDictionary,
  makeRowGroup,
  reset,
} from './leaf-buffer-memory.ts';
export type { GeneratedColumn, Leaf, ParquetColumn, ParquetType, ScalarType } from './parquet-type.ts';
export { leavesOf, wordsOf } from './parquet-type.ts';
export type { ParquetFile, ParquetWriter, ParquetWriterOptions } from './parquet-writer.ts';
export { COMPRESSION_LEVEL, createParquetWriter } from './parquet-writer.ts';
export type { Extent } from './statistics.ts';
