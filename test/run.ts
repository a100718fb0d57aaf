import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '../infra/postgres/index.ts';
import { createLog } from '../warehouse/core/log.ts';

/**
 * Runs the tests on one real Postgres that it starts itself. Arguments: files or folders to run (all when none), --soak for the long ones,
 * --name PATTERN to run tests by name.
 */

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

const dir = mkdtempSync(join(tmpdir(), 'sluice-test-postgres-'));
const postgres = await startEmbeddedPostgres({ dir, durable: false, log: createLog({ level: 'error' }) });
try {
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-reporter=spec',
      '--test-concurrency=2',
      '--test-timeout=600000',
      ...(name === undefined ? [] : [`--test-name-pattern=${name}`]),
      ...files.map((file) => relative(root, join(root, file))),
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        SLUICE_TEST_POSTGRES_URL: postgres.url,
        NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
      },
    },
  );
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
} finally {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}
