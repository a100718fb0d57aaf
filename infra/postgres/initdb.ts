import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { mapSystemError, SluiceError } from '../../warehouse/core/errors.ts';
import { type Account, asAccount } from './account.ts';
import type { Binaries } from './binaries.ts';
import { isAlive } from './postmaster.ts';

export const SERVER_USER = 'sluice';
const CREDENTIALS = 'sluice.json';
const credentials = z.object({ password: z.string() });

/** Makes the data folder unless it is there, whole or not at all: initdb works in a draft, one rename makes it the data folder. */
export async function ensureDataFolder(
  home: string,
  options: { readonly binaries: Binaries; readonly account: Account | undefined; readonly durable: boolean },
): Promise<void> {
  const dataDir = join(home, 'data');
  if (existsSync(join(dataDir, CREDENTIALS))) return;
  await sweepDrafts(home);
  const draft = join(home, `draft-${process.pid}-${randomBytes(4).toString('hex')}`);
  const passwordFile = `${draft}.password`;
  const password = randomBytes(16).toString('hex');
  try {
    await mkdir(draft, { mode: 0o700 });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (options.account !== undefined) {
      for (const path of [draft, passwordFile]) await chown(path, options.account.uid, options.account.gid);
    }
    await runInitdb(draft, passwordFile, options);
    await writeFile(join(draft, CREDENTIALS), JSON.stringify({ password }), { mode: 0o600 });
    await rename(draft, dataDir).catch((error: unknown) => {
      // another starter was first: its folder is as good
      if (!existsSync(join(dataDir, CREDENTIALS))) throw error;
    });
  } catch (error) {
    throw mapSystemError(error, 'initdb');
  } finally {
    for (const path of [draft, passwordFile]) await rm(path, { recursive: true, force: true });
  }
}

/** The password of the server's only user. */
export async function readPassword(dataDir: string): Promise<string> {
  return credentials.parse(JSON.parse(await readFile(join(dataDir, CREDENTIALS), 'utf8'))).password;
}

async function runInitdb(
  draft: string,
  passwordFile: string,
  options: { readonly binaries: Binaries; readonly account: Account | undefined; readonly durable: boolean },
): Promise<void> {
  const args = [
    `--pgdata=${draft}`,
    `--username=${SERVER_USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Neither needs a locale of the operating system, so text sorts the same on every machine.
    '--locale=C',
    ...(hasBuiltinLocale(options.binaries) ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
    '--no-instructions',
    ...(options.durable ? [] : ['--no-sync']),
  ];
  const { code, output } = await new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    const child = spawn(options.binaries.initdb, args, {
      ...asAccount(options.account),
      cwd: draft,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
  if (code === 0) return;
  throw new SluiceError(
    'POSTGRES_START_FAILED',
    `Postgres could not create its data folder: ${output.trim().split('\n').pop() ?? ''}`,
    {
      remedy:
        options.account === undefined && process.getuid?.() === 0
          ? 'Postgres does not run as root and this system has neither an account postgres nor nobody: run as an ordinary user.'
          : 'Mend what the message says, then run the same command again; nothing was left behind.',
      details: { output },
      cause: new Error(output.trim()),
    },
  );
}

/** Postgres 17 brought the builtin provider. */
function hasBuiltinLocale({ version }: Binaries): boolean {
  return Number(version.split('.')[0]) >= 17;
}

/** Removes what killed starters left of their drafts. */
async function sweepDrafts(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const pid = /^draft-(\d+)-/.exec(name)?.[1];
    // a killed starter's initdb may write on for a moment
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(home, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
