import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openBronze } from '../warehouse/bronze/bronze.ts';
import { listCheckpoints } from '../warehouse/bronze/checkpoint.ts';
import { encodeCommit } from '../warehouse/bronze/commit-format.ts';
import { logKey } from '../warehouse/bronze/commit-log.ts';
import { BRONZE_COMMIT_FORMAT, type BronzeCommit } from '../warehouse/core/bronze-commit.ts';
import { createFolderStore } from '../warehouse/core/folder-store.ts';
import { createLog } from '../warehouse/core/log.ts';
import { type BenchOptions, median, round, time } from './support.ts';

/** Opening a long log in a folder: read whole, and from its checkpoint with half an interval of commits behind it. */
export async function benchLog({ commits, rounds }: BenchOptions): Promise<Record<string, unknown>> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-log-'));
  try {
    const store = createFolderStore(dir);
    const log = createLog({ level: 'warn' });
    const open = async () => {
      const before = process.cpuUsage();
      const opened = await time(() => openBronze({ store, log }).head('app'));
      const { user, system } = process.cpuUsage(before);
      return { ...opened, cpuMs: (user + system) / 1000 };
    };
    await mkdir(dirname(join(dir, logKey('app', 1))), { recursive: true });
    const write = (number: number) => writeFile(join(dir, logKey('app', number)), encodeCommit(commitOf(number)));
    // Straight into the folder: flushing a hundred thousand objects one by one is not what is measured.
    for (let number = 1; number <= commits; number += 64)
      await Promise.all(Array.from({ length: Math.min(64, commits - number + 1) }, (_, i) => write(number + i)));
    const cold = await open();
    const { files: _files, ...entry } = Object.values(commitOf(commits + 1).tables)[0] ?? fail();
    const draft = { ...commitOf(commits + 1), tables: { t0: { ...entry, files: [], quarantined: [] } } };
    await openBronze({ store, log }).commit('app', draft);
    for (let number = commits + 2; number <= commits + 50; number++) await write(number);
    const warm: number[] = [];
    const warmCpu: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const { ms, value, cpuMs } = await open();
      if (value !== commits + 50) fail();
      warm.push(ms);
      warmCpu.push(cpuMs);
    }
    const [checkpoint] = await listCheckpoints(store, 'app');
    return {
      commits,
      open_ms_cold: round(cold.ms, 0),
      open_ms_checkpoint: round(median(warm), 0),
      cpu_ms_cold: round(cold.cpuMs, 0),
      cpu_ms_checkpoint: round(median(warmCpu), 0),
      ratio: round(cold.ms / median(warm), 1),
      checkpoint_bytes: checkpoint?.bytes ?? 0,
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Three tables of ten columns, of which each commit names one. */
function commitOf(number: number): BronzeCommit {
  const batch = `20260101T000000Z-${createHash('sha256').update(String(number)).digest('hex').slice(0, 12)}`;
  const table = `t${number % 3}`;
  const columns = Array.from({ length: 10 }, (_, i) => ({
    name: `column_${i}`,
    postgresType: 'numeric(14,2)',
    duckdbType: 'DECIMAL(14,2)',
    nullable: true,
    policy: 'error' as const,
  }));
  const file = {
    key: `bronze/app/${table}/${batch}/00000.parquet`,
    rows: 1000 + (number % 977),
    bytes: 20_000 + (number % 9973),
    sha256: createHash('sha256').update(batch).digest('hex'),
    ops: { update: 1000 },
    firstSeq: String(BigInt(number) << 32n),
    lastSeq: String((BigInt(number) << 32n) + 999n),
    keyMin: '1',
    keyMax: '1000000',
  };
  const watermark = {
    column: 'updated_at',
    value: '2026-01-01 00:00:00+00',
    proof: '00000001 16386 16397:755:16396:755',
  };
  return {
    format: BRONZE_COMMIT_FORMAT,
    source: 'app',
    number,
    batch,
    committedAt: '2026-01-01T00:00:00.000Z',
    identity: { systemIdentifier: '7710583694541489126', databaseOid: '16384', database: 'app', schema: 'public' },
    snapshot: { id: `${1000 + number}:${1000 + number}:`, at: '2026-01-01T00:00:00.000000Z', lsn: '0/1B90CA0' },
    tables: {
      [table]: {
        mode: 'cursor',
        consistency: 'exact',
        contract: { key: ['column_0'], columns },
        files: [file],
        replaced: false,
        quarantined: { rows: 0, files: [] },
        read: { how: 'cursor', rows: 1000, why: null },
        watermark: { before: watermark, after: watermark },
      },
    },
  };
}

function fail(): never {
  throw new Error('the log is not as it was written');
}
