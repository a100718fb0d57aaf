import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** What to do with one request. `lose`: the server gets it and answers, the client never hears. `cut`: the answer's body ends after some bytes. */
export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'lose' }
  | { readonly kind: 'stall' }
  | { readonly kind: 'cut'; readonly afterBytes: number };

export interface FaultProxy {
  readonly endpoint: string;
  /** Requests seen so far: "PUT /bucket/key". */
  readonly seen: string[];
}

/** An HTTP proxy before a real server, for one test, that spoils the requests it is told to. Signatures stay valid: the host header goes through as it is. */
export async function startFaultProxy(
  t: TestContext,
  endpoint: string,
  faultFor: (request: IncomingMessage, count: number) => Fault | undefined,
): Promise<FaultProxy> {
  const target = new URL(endpoint);
  const seen: string[] = [];
  const server: Server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url?.split('?')[0]}`);
    const fault = faultFor(incoming, seen.length);
    if (fault?.kind === 'refuse') {
      incoming.socket.destroy();
      return;
    }
    if (fault?.kind === 'stall') {
      incoming.resume();
      return;
    }
    if (fault?.kind === 'answer') {
      incoming.resume();
      incoming.on('end', () => outgoing.writeHead(fault.status, { 'content-type': 'application/xml' }).end(fault.body));
      return;
    }
    const forwarded = request(
      {
        host: target.hostname,
        port: target.port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
      },
      (answer) => {
        if (fault?.kind === 'lose') {
          answer.resume();
          answer.on('end', () => incoming.socket.destroy());
          return;
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        let sent = 0;
        answer.on('data', (chunk: Buffer) => {
          if (fault?.kind === 'cut' && sent + chunk.length > fault.afterBytes) {
            answer.destroy();
            outgoing.write(chunk.subarray(0, fault.afterBytes - sent), () => incoming.socket.destroy());
            return;
          }
          sent += chunk.length;
          outgoing.write(chunk);
        });
        answer.on('end', () => outgoing.end());
        answer.on('error', () => incoming.socket.destroy());
      },
    );
    forwarded.on('error', () => incoming.socket.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { endpoint: `http://127.0.0.1:${port}`, seen };
}

/** An S3 error's XML. */
export function s3Error(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>on purpose</Message></Error>`;
}
