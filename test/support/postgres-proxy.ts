import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import type { TestCertificates } from './tls-proxy.ts';

/** Something between a client and a real Postgres: a line that cuts, breaks or encrypts what the server sends. */
export interface PostgresProxy {
  readonly url: string;
  close(): Promise<void>;
}

export async function startPostgresProxy(
  url: string,
  options: {
    /** Size of the next piece that goes to the client; default: as it comes. */
    readonly pieceOf?: () => number;
    /** Bytes to the client after which the connection breaks, counted from the first CopyOutResponse. */
    readonly breakAfter?: number;
    readonly tls?: TestCertificates;
  } = {},
): Promise<PostgresProxy> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    if (options.tls === undefined) {
      client.pipe(upstream);
      void carry(upstream, client, options);
      return;
    }
    const { cert, key } = options.tls.server;
    // SSLRequest, eight bytes, is answered by one.
    client.once('data', () => {
      const secure = new TLSSocket(client, { isServer: true, cert: readFileSync(cert), key: readFileSync(key) });
      secure.on('error', () => undefined);
      client.write('S');
      secure.pipe(upstream);
      void carry(upstream, secure, options);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const target = new URL(url);
  target.hostname = '127.0.0.1';
  target.port = String((server.address() as AddressInfo).port);
  if (options.tls !== undefined) target.searchParams.set('sslmode', 'no-verify');
  return {
    url: target.href,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function carry(
  from: Socket,
  to: Socket,
  { pieceOf, breakAfter }: { readonly pieceOf?: () => number; readonly breakAfter?: number },
): Promise<void> {
  let left = Number.POSITIVE_INFINITY;
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      // CopyOutResponse begins a packet: the server had nothing to say before.
      if (breakAfter !== undefined && left === Number.POSITIVE_INFINITY && chunk[0] === 0x48) left = breakAfter;
      const bytes = chunk.subarray(0, left);
      left -= bytes.length;
      for (let at = 0; at < bytes.length; ) {
        const piece = bytes.subarray(at, at + (pieceOf?.() ?? bytes.length));
        at += piece.length;
        if (!to.write(piece)) await once(to, 'drain');
        if (pieceOf !== undefined) await turn();
      }
      if (left === 0) to.destroy();
    }
    to.end();
  } catch {
    to.destroy();
  }
}
