import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { AppEnvironment } from './environment.ts';
import { HTTP_PROBLEMS, HttpProblem, type HttpProblemCode, PROBLEM_TYPE, problemOf } from './problem.ts';

export interface Listening {
  /** http://host:port */
  readonly url: string;
  readonly port: number;
  /** Takes no more requests, lets those that run finish for `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
}

const MAX_HEADER_BYTES = 16_384;

/** Serves an app over HTTP/1.1. Port 0 takes a free one. Throws PORT_IN_USE. */
export async function listen(options: {
  readonly app: Hono<AppEnvironment>;
  readonly host: string;
  readonly port: number;
}): Promise<Listening> {
  const { app, host } = options;
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, errorHandler: refused });
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: 10_000, requestTimeout: 30_000 },
    (incoming, outgoing) => {
      void listener(incoming, outgoing);
    },
  );
  server.on('clientError', refuseRaw);
  await bind(server, host, options.port);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: async (graceMs = 10_000) => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function bind(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES' && error.code !== 'EADDRNOTAVAIL')
        return reject(error);
      const why = {
        EADDRINUSE: 'is in use',
        EACCES: 'may not be used by this user',
        EADDRNOTAVAIL: 'is not an address of this machine',
      }[error.code];
      reject(
        new SluiceError('PORT_IN_USE', `Port ${port} on ${host} ${why}.`, {
          remedy: 'Stop what uses it, or choose another with --port or SLUICE_SERVE_PORT; 0 takes a free one.',
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

/** A request that could not even become a URL. */
function refused(error: unknown): Response {
  const reply = problemOf(
    error instanceof Error && error.name === 'RequestError'
      ? new HttpProblem('BAD_REQUEST', 'The request’s URL or Host header is malformed.')
      : error,
  );
  return new Response(JSON.stringify(reply.problem), {
    status: reply.problem.status,
    headers: { 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store' },
  });
}

/** What Node's parser refuses never reaches the app; it gets the same shape of answer. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const code: HttpProblemCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'HEADERS_TOO_LARGE'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'REQUEST_TIMEOUT'
        : 'BAD_REQUEST';
  const { problem } = problemOf(new HttpProblem(code, `${HTTP_PROBLEMS[code].title}.`));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
  );
}
