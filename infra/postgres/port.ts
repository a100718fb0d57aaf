import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { SluiceError } from '../../warehouse/core/errors.ts';

export const HOST = '127.0.0.1';

/** The port to start on: the one asked for, else the one of last time if it is free, else any free one. Throws PORT_IN_USE. */
export async function choosePort(home: string, asked: number): Promise<number> {
  if (asked > 0) {
    if (!(await isFree(asked))) throw portInUse(asked);
    return asked;
  }
  const remembered = Number(await readFile(join(home, 'port'), 'utf8').catch(() => ''));
  return remembered > 0 && (await isFree(remembered)) ? remembered : await freePort();
}

export async function rememberPort(home: string, port: number): Promise<void> {
  await writeFile(join(home, 'port'), `${port}\n`);
}

export function portInUse(port: number, cause?: unknown): SluiceError {
  return new SluiceError('PORT_IN_USE', `Port ${port} on ${HOST} is in use by another program.`, {
    remedy: `Stop that program, choose another port, or leave the port out to get a free one.`,
    details: { port },
    cause,
  });
}

function isFree(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

async function freePort(): Promise<number> {
  return await listenOnce(0);
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}
