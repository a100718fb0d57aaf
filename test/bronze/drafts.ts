import { createHash, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeCommitDraft, BronzeTableDraft } from '../../warehouse/core/bronze-commit.ts';

/** A table's part of a draft; `content` becomes its one file, which holds no Parquet: the log does not look inside. */
export async function tableDraft(
  dir: string,
  content: string | undefined,
  facts: Partial<BronzeTableDraft> = {},
): Promise<BronzeTableDraft> {
  const localPath = join(dir, `draft-${randomUUID()}`);
  if (content !== undefined) await writeFile(localPath, content);
  const file = {
    localPath,
    rows: 1,
    bytes: Buffer.byteLength(content ?? ''),
    sha256: createHash('sha256')
      .update(content ?? '')
      .digest('hex'),
    ops: { read: 1 },
    firstSeq: '1',
    lastSeq: '1',
    keyMin: '1',
    keyMax: '1',
  };
  return {
    mode: 'full',
    contract: { key: ['id'], columns: [] },
    files: content === undefined ? [] : [file],
    replaced: false,
    read: { how: 'whole', rows: 1, why: null },
    watermark: { before: null, after: null },
    ...facts,
  };
}

export function commitDraft(
  number: number,
  batch: string,
  tables: Readonly<Record<string, BronzeTableDraft>>,
  source = 'app',
): BronzeCommitDraft {
  return {
    source,
    number,
    batch,
    identity: { systemIdentifier: '1', databaseOid: '2', database: 'd', schema: 'app' },
    snapshot: { id: '1:1:', at: '2026-01-01T00:00:00.000000Z', lsn: null },
    tables,
  };
}
