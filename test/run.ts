import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '../infra/postgres/index.ts';
import { createLog } from '../warehouse/core/log.ts';
import type { FileReport } from './support/file-report.ts';
import { holdTestServers } from './support/servers.ts';

/**
 * Runs the tests on real servers that it starts itself: one Postgres, and Temporal, MinIO and versitygw where a test asks for them. Arguments: files or folders to run (all when none), --soak for the long ones,
 * --name PATTERN to run tests by name.
 */

/** More failing files than this are not noise. */
const RERUN_AT_MOST = 3;
const root = fileURLToPath(new URL('..', import.meta.url));

async function findTests(args: readonly string[], soak: boolean): Promise<string[]> {
  const suffix = soak ? 'soak' : 'test';
  const patterns =
    args.length === 0
      ? [`test/**/*.${suffix}.ts`]
      : args.map((arg) => (arg.endsWith('.ts') ? arg : `${arg.replace(/\/$/, '')}/**/*.${suffix}.ts`));
  const files = await Array.fromAsync(glob(patterns, { cwd: root }));
  return [...new Set(files)].sort();
}

const args = process.argv.slice(2);
const soak = args.includes('--soak');
const nameAt = args.indexOf('--name');
const name = nameAt === -1 ? undefined : args[nameAt + 1];
const files = await findTests(
  args.filter((arg, index) => !arg.startsWith('--') && (nameAt === -1 || index !== nameAt + 1)),
  soak,
);
if (files.length === 0) {
  console.error(`no test file matches ${args.join(' ')}`);
  process.exit(2);
}

if (files.some((file) => /support\/servers|s3-support/.test(readFileSync(join(root, file), 'utf8')))) {
  // Held here, so that files that follow each other share them; and built here, where no test's time runs out.
  const last = new Map<string, number>();
  await holdTestServers((server, note) => {
    if (Date.now() - (last.get(server) ?? 0) < 15_000) return;
    last.set(server, Date.now());
    console.log(`${server}: ${note}`);
  });
}
const dir = mkdtempSync(join(tmpdir(), 'sluice-test-postgres-'));
const postgres = await startEmbeddedPostgres({ dir, durable: false, log: createLog({ level: 'error' }) });
try {
  const first = await runFiles(files);
  const failed = first.reports.filter((report) => report.failed.length > 0);
  printSlowest(first.reports);
  process.exitCode = first.code;
  // A few files that failed beside others are run again by themselves: what fails alone is a fault, what passes alone is named.
  if (first.code === 1 && failed.length > 0 && failed.length <= RERUN_AT_MOST && files.length > RERUN_AT_MOST) {
    const again = await runFiles(
      failed.map((report) => relative(root, report.file)),
      1,
    );
    process.exitCode = again.code;
    for (const report of failed)
      console.log(`failed beside others, run again alone: ${relative(root, report.file)}: ${report.failed.join('; ')}`);
  }
} finally {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** Runs test files and says how each went; `concurrency` of them at once. */
async function runFiles(
  names: readonly string[],
  concurrency = 3,
): Promise<{ readonly code: number; readonly reports: readonly FileReport[] }> {
  const reportPath = join(dir, 'files.ndjson');
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(root, 'test/support/file-report.ts')}`,
      `--test-reporter-destination=${reportPath}`,
      `--test-concurrency=${concurrency}`,
      '--test-timeout=600000',
      ...(name === undefined ? [] : [`--test-name-pattern=${name}`]),
      ...names,
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        SLUICE_TEST_POSTGRES_URL: postgres.url,
        NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${new URL('../cli/quick-start.js', import.meta.url).href}`,
      },
    },
  );
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve(exitCode ?? 1));
  });
  const lines = readFileSync(reportPath, 'utf8').split('\n').filter(Boolean);
  return { code, reports: lines.map((line): FileReport => JSON.parse(line)) };
}

function printSlowest(reports: readonly FileReport[]): void {
  const slowest = reports.toSorted((a, b) => b.ms - a.ms).slice(0, 12);
  console.log(
    `slowest files: ${slowest.map(({ file, ms }) => `${relative(root, file)} ${Math.round(ms / 1000)} s`).join(', ')}`,
  );
}
