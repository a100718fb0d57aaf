import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** Certificates of an authority of the test's own, as files: what openssl makes of them is what any company's does. */
export interface TestCertificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
  /** An authority that signed none of them. */
  readonly otherCa: string;
}

export function makeCertificates(dir: string): TestCertificates {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const path = (name: string): string => join(dir, name);
  const authority = (name: string): void =>
    openssl(
      'req',
      '-x509',
      ...KEY,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  authority('ca');
  authority('other-ca');
  for (const [name, alternative] of [
    ['server', 'DNS:temporal.test,IP:127.0.0.1'],
    ['client', 'DNS:worker.test'],
  ] as const) {
    writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\n`);
    openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`);
  }
  const pair = (name: string) => ({ cert: path(`${name}.pem`), key: path(`${name}.key`) });
  return { ca: path('ca.pem'), server: pair('server'), client: pair('client'), otherCa: path('other-ca.pem') };
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

export interface TlsProxy {
  readonly address: string;
  /** What came with each call, oldest first. */
  readonly calls: { readonly path: string; readonly authorization: string | undefined; readonly client: string }[];
  close(): Promise<void>;
}

/** HTTP/2 over TLS in front of a gRPC server without: what stands before most servers. `requireClient`: certificates of the authority only. */
export async function startTlsProxy(
  address: string,
  certificates: TestCertificates,
  { requireClient = false }: { readonly requireClient?: boolean } = {},
): Promise<TlsProxy> {
  const calls: TlsProxy['calls'] = [];
  const server = http2.createSecureServer({
    cert: readFileSync(certificates.server.cert),
    key: readFileSync(certificates.server.key),
    ...(requireClient && { ca: readFileSync(certificates.ca), requestCert: true, rejectUnauthorized: true }),
  });
  const sessions = new Set<http2.Http2Session>();
  server.on('session', (session) => {
    const upstream = http2.connect(`http://${address}`);
    sessions.add(session).add(upstream);
    upstream.on('error', () => session.destroy());
    session.on('error', () => undefined);
    session.on('close', () => upstream.close());
    session.on('stream', (stream, headers) => {
      const socket = session.socket as { getPeerCertificate?: () => { subject?: { CN?: string } } } | undefined;
      calls.push({
        path: String(headers[':path']),
        authorization: headers.authorization,
        client: socket?.getPeerCertificate?.().subject?.CN ?? '',
      });
      relay(stream, headers, upstream);
    });
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function relay(
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  upstream: http2.ClientHttp2Session,
): void {
  const { ':scheme': _, ...rest } = headers;
  const request = upstream.request({ ...rest, ':scheme': 'http' });
  for (const end of [stream, request]) end.on('error', () => undefined);
  let trailers: http2.IncomingHttpHeaders = {};
  request.on('response', (answer, flags) => {
    const endStream = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(answer, { endStream, waitForTrailers: !endStream });
    if (endStream) return;
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    request.on('data', (chunk: Buffer) => stream.write(chunk));
    request.on('end', () => stream.end());
  });
  request.on('trailers', (found) => (trailers = found));
  stream.on('close', () => request.close(http2.constants.NGHTTP2_CANCEL));
  stream.pipe(request);
}
