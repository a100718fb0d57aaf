import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openShop } from './shop.ts';

/** Builders in processes of their own, which kill themselves at a step. */

export const CHILD = fileURLToPath(new URL('builder-child.ts', import.meta.url));

export interface Ended {
  readonly signal: string | null;
  readonly answer: {
    readonly number?: number;
    readonly version?: string;
    readonly code?: string;
    readonly message?: string;
  };
  readonly err: string;
}

export async function runChild(command: string, args: readonly string[]): Promise<Ended> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { signal, answer: out === '' ? {} : (JSON.parse(out) as Ended['answer']), err };
}

/** A shop whose state a child process can be given. */
export async function openSharedShop(t: TestContext) {
  const shop = await openShop(t);
  const input = join(shop.dir, 'input.json');
  const share = () => writeFile(input, JSON.stringify({ project: shop.project, bronze: shop.lake.snapshot() }));
  const build = (killAt = '', privateName = '') =>
    runChild(process.execPath, [CHILD, shop.dir, input, shop.dir, killAt, privateName]);
  return { ...shop, input, share, build };
}

/** Every step that a builder reached. */
export const stepsOf = ({ err }: Ended): readonly string[] => [
  ...new Set([...err.matchAll(/^step: (.+)$/gm)].map((match) => match[1] ?? '')),
];
