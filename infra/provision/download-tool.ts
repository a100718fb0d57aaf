import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { ToolPin } from './tool-pins.ts';

/** How long an official server may take to answer at all: a closed network must not hold up the next way. */
const ANSWER_MS = 4_000;
const SILENCE_MS = 15_000;

const run = promisify(execFile);

/** Downloads the pinned file for this machine into `dir`, compares its SHA-256 and unpacks it; gives the program. Throws a plain reason. */
export async function downloadTool(
  pin: ToolPin,
  dir: string,
  { onProgress }: { readonly onProgress: (note: string) => void },
): Promise<string> {
  const file = pin.download.files[`${process.platform}-${process.arch}`];
  if (file === undefined) throw new Error(`no download is pinned for ${process.platform}-${process.arch}`);
  const archive = join(dir, 'download');
  onProgress(`asking ${new URL(file.url).host}`);
  await fetchFile(file.url, archive, onProgress);
  const sha256 = await hashFile(archive);
  if (sha256 !== file.sha256) {
    throw new Error(`${file.url} has SHA-256 ${sha256}, but ${file.sha256} is pinned: it is not used`);
  }
  let program = archive;
  if (file.inside !== undefined) {
    await run('tar', ['-xzf', archive, '-C', dir, file.inside]);
    program = join(dir, file.inside);
  }
  await chmod(program, 0o755);
  return program;
}

async function fetchFile(url: string, path: string, onProgress: (note: string) => void): Promise<void> {
  const controller = new AbortController();
  let timer = setTimeout(() => controller.abort(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  const file = await open(path, 'wx');
  try {
    const response = await fetch(url, { signal: controller.signal, redirect: 'follow' }).catch((error: unknown) => {
      // fetch hides the reason one level down
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw new Error(
        `${new URL(url).host} is not reachable: ${cause instanceof Error ? cause.message : String(cause)}`,
      );
    });
    if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
    const total = Number(response.headers.get('content-length') ?? 0);
    let bytes = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(new Error('the download stopped')), SILENCE_MS);
      await file.write(chunk);
      bytes += chunk.byteLength;
      onProgress(`downloading ${basename(url)}: ${megabytes(bytes)}${total > 0 ? ` of ${megabytes(total)}` : ''} MB`);
    }
    await file.sync();
  } finally {
    clearTimeout(timer);
    await file.close();
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
