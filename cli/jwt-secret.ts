import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../infra/config.ts';
import { SluiceError } from '../warehouse/core/errors.ts';

const MIN_SECRET = 32;

/** The signing secret: the configured one, else a random development secret made once per project, readable by its owner only. */
export async function readJwtSecret(config: Config): Promise<string> {
  if (config.jwtSecret !== undefined) return config.jwtSecret;
  const path = join(config.stateDir, 'jwt-secret');
  const secret = (await readSecret(path)) ?? (await createSecret(config.stateDir, path));
  if (secret.length >= MIN_SECRET) return secret;
  throw new SluiceError(
    'CONFIG_INVALID',
    `${path} holds a secret of ${secret.length} characters, not of ${MIN_SECRET}.`,
    {
      remedy: 'Remove the file, and the next command makes a new one; tokens signed with the old one end.',
    },
  );
}

/** The file gets its name only when it is whole, and the first one to name it wins: two processes always read the same secret. */
async function createSecret(dir: string, path: string): Promise<string> {
  await mkdir(dir, { recursive: true });
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return (await readSecret(path)) ?? '';
}

async function readSecret(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    },
  );
}
