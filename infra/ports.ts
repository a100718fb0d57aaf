import { createServer } from 'node:net';
import { SluiceError } from '../warehouse/core/errors.ts';

/** Servers of ours listen on this machine only. */
export const HOST = '127.0.0.1';

/** The port wanted, or the next one that is free and not in `taken`. Throws PORT_IN_USE when a hundred in a row are taken. */
export async function nextFreePort(wanted: number, taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (let port = wanted; port < wanted + 100; port++) {
    if (!taken.has(port) && (await isFreePort(port))) return port;
  }
  throw new SluiceError('PORT_IN_USE', `The ports ${wanted} to ${wanted + 99} on ${HOST} are all in use.`, {
    remedy: 'End what holds them.',
    details: { port: wanted },
  });
}

/** A port that the system gives. */
export function anyFreePort(): Promise<number> {
  return listenOnce(0);
}

/** True when the port can be listened on now. */
export function isFreePort(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

export function portInUse(port: number, cause?: unknown): SluiceError {
  return new SluiceError('PORT_IN_USE', `Port ${port} on ${HOST} is in use by another program.`, {
    remedy: `Stop that program, choose another port, or leave the port out to get a free one.`,
    details: { port },
    cause,
  });
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
