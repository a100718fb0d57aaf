import { existsSync, statSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { compileOnBronze } from '../infra/compile-project.ts';
import type { Config } from '../infra/config.ts';
import { type Project, withSource } from '../infra/project.ts';
import { SLUICE_VERSION } from '../infra/version.ts';
import { messageOf } from '../warehouse/core/errors.ts';
import { inspectSource, loadSources } from '../warehouse/extract/index.ts';
import type { Outcome } from './doctor-findings.ts';
import { formatBytes, formatCounted } from './table.ts';

/** What a run needs on this machine and of the source. */

const OLDEST_POSTGRES = 14;
const LOW_DISK_BYTES = 1024 ** 3;

export async function checkNode(): Promise<Outcome> {
  return {
    status: 'ok',
    detail: `${process.versions.node} on ${process.platform} ${process.arch}, Sluice ${SLUICE_VERSION}`,
  };
}

export async function checkFolder(dir: string, option: string): Promise<Outcome> {
  // A folder that is not there yet will be made: what counts is the nearest one above it that is.
  let existing = dir;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    if (!statSync(existing).isDirectory()) throw new Error(`${existing} is not a folder`);
    await access(existing, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return {
      status: 'fail',
      detail: `${dir} cannot be written: ${messageOf(error)}`,
      remedy: `Create it with the right owner, or point ${option} elsewhere.`,
    };
  }
  const { bavail, bsize } = await statfs(existing);
  const free = bavail * bsize;
  if (free < LOW_DISK_BYTES)
    return {
      status: 'warn',
      detail: `${dir}, ${formatBytes(free)} free`,
      remedy: `Free some space, or point ${option} at a larger disk.`,
    };
  return { status: 'ok', detail: `${dir}, ${formatBytes(free)} free` };
}

/** Without `lake` Postgres is looked at as before a first run. */
export async function checkSource({ config, log, bronze }: Project, lake: boolean): Promise<Outcome> {
  const sources = await loadSources(config.projectDir);
  const state = lake ? await bronze.state(sources.map((source) => source.name)) : undefined;
  const found = await withSource(config, log, (url) =>
    inspectSource({
      url,
      sources,
      ...(state && { state }),
      version: SLUICE_VERSION,
      maskSecret: config.maskSecret,
    }),
  );
  const where = config.sourceUrl === 'embedded' ? 'embedded' : new URL(config.sourceUrl).host;
  const detail = `Postgres ${found.serverVersion} (${where}), ${formatCounted(sources.length, 'source')}, ${formatCounted(found.tables.length, 'table')}`;
  if (Number.parseInt(found.serverVersion, 10) < OLDEST_POSTGRES) {
    return { status: 'fail', detail, remedy: `Sluice needs Postgres ${OLDEST_POSTGRES} or newer.` };
  }
  if (found.unprovable !== null) {
    return {
      status: 'warn',
      detail: `${detail}; cursor tables are scanned for rows of new transactions: ${found.unprovable}`,
      remedy:
        'grant pg_read_all_stats to the role, so that it sees running transactions, where that is what is missing.',
    };
  }
  const swept = found.tables.filter((table) => table.unprovenBecause !== null);
  if (swept.length === 0) return { status: 'ok', detail };
  return {
    status: 'warn',
    detail: `${detail}\nscanned for rows of new transactions, not read by their cursor: ${swept.map((table) => `${table.source}.${table.table} (${table.unprovenBecause ?? ''})`).join(', ')}`,
    remedy:
      'Correct, only slower: add a trigger that sets the cursor column from now() before insert or update, or choose mode full.',
  };
}

export async function checkModels(project: Project): Promise<Outcome> {
  const { compiled } = await compileOnBronze(project);
  const tests = compiled.models.reduce((sum, model) => sum + model.tests.length, 0) + compiled.sqlTests.length;
  return {
    status: 'ok',
    detail: `${formatCounted(compiled.models.length, 'model')} and ${formatCounted(tests, 'test')} compile`,
  };
}

export async function checkRelease({ releases }: Project): Promise<Outcome> {
  const release = await releases.current();
  if (release === undefined) return { status: 'warn', detail: 'none yet', remedy: 'sluice run makes the first.' };
  await releases.fetch(release);
  return { status: 'ok', detail: `${release.number} (${release.version}), as of ${release.asOf}, its files are whole` };
}

export async function checkSecret(config: Config): Promise<Outcome> {
  if (config.jwtSecret !== undefined) return { status: 'ok', detail: 'SLUICE_JWT_SECRET is set' };
  return {
    status: 'warn',
    detail: 'the development secret in .sluice/jwt-secret',
    remedy: 'Enough on this machine; set SLUICE_JWT_SECRET before serving others.',
  };
}

/** Only `serve` needs the port, and what holds it is often a `sluice serve`: no failure. */
export async function checkPort({ serve }: Config): Promise<Outcome> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) =>
      resolve({
        status: 'warn',
        detail: `${serve.host}:${serve.port} cannot be listened on: ${error.message}`,
        remedy: 'For sluice serve, end what holds it, or set SLUICE_SERVE_PORT; 0 takes a free one.',
      }),
    );
    server.listen(serve.port, serve.host, () =>
      server.close(() => resolve({ status: 'ok', detail: `${serve.host}:${serve.port} is free` })),
    );
  });
}
