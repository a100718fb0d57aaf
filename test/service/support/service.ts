import { connect } from 'node:net';
import type { RefreshHook } from '../../../service/index.ts';
import { createApp, createTokenVerifier, listen, mintToken } from '../../../service/index.ts';
import {
  type Caller,
  openServing,
  type PinnedRelease,
  type Serving,
  type ServingLimits,
} from '../../../warehouse/serve/index.ts';
import { createGold, type Gold, silent } from '../../serve/support/gold.ts';

/** The whole service on a free port of 127.0.0.1, over a gold file of its own. */
export interface TestService {
  readonly url: string;
  readonly port: number;
  readonly gold: Gold;
  readonly serving: Serving;
  readonly pinned: PinnedRelease;
  token(caller: Caller): Promise<string>;
  get(path: string, caller: Caller, headers?: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Reply>;
  stop(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // The tests say what they expect of a body; a wrong shape fails there.
  readonly json: Body;
}

export interface Body {
  readonly [key: string]: unknown;
  readonly data?: readonly Readonly<Record<string, unknown>>[];
  readonly errors?: readonly { readonly parameter: string; readonly detail: string }[];
}

export const SECRET = 'a secret for tests, long enough for HS256';

export async function startService(
  options: { readonly limits?: Partial<ServingLimits>; readonly refresh?: RefreshHook } = {},
): Promise<TestService> {
  const gold = await createGold();
  const pinned = await gold.release('20260101T000000Z-00000001');
  const serving = await openServing({
    pinned,
    log: silent,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const app = createApp({
    serving,
    verifyToken: createTokenVerifier({ secret: SECRET }),
    log: silent,
    refresh: options.refresh,
  });
  const listening = await listen({ app, host: '127.0.0.1', port: 0 });
  const token = (caller: Caller): Promise<string> => mintToken({ secret: SECRET, ...caller, ttlSeconds: 600 });
  return {
    url: listening.url,
    port: listening.port,
    gold,
    serving,
    pinned,
    token,
    get: async (path, caller, headers = {}, signal = AbortSignal.timeout(30_000)) =>
      fetchReply(`${listening.url}${path}`, {
        headers: { authorization: `Bearer ${await token(caller)}`, ...headers },
        signal,
      }),
    stop: async () => {
      await listening.close(1_000);
      await serving.close();
      await gold.remove();
    },
  };
}

export async function fetchReply(url: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(url, init);
  const text = await response.text();
  const isJson = /json$|json;/.test(response.headers.get('content-type') ?? '') && !text.includes('\n{');
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson && text !== '' ? (JSON.parse(text) as Body) : {},
  };
}

/** Sends bytes as they are and gives back everything the server says until it closes. */
export async function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let said = '';
    socket.setTimeout(5_000, () => socket.destroy());
    socket.on('data', (part) => {
      said += part.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
  });
}
