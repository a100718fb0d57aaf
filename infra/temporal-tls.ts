import { isIP } from 'node:net';
import { type ConnectionOptions, connect, createSecureContext } from 'node:tls';
import type { TLSConfig } from '@temporalio/client';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';

/** Temporal's clients say of every TLS failure only that no server answered in time. Asked once more by hand, the way there says what is wrong. */

export type TlsSetting = TLSConfig | boolean | null | undefined;

/** Throws CONFIG_INVALID for certificates and keys that are none, or that do not belong together. */
export function checkTlsFiles(tls: TlsSetting): void {
  if (typeof tls !== 'object' || tls === null) return;
  try {
    createSecureContext(toNodeOptions(tls));
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `Temporal’s TLS certificates cannot be used: ${messageOf(error)}.`, {
      remedy:
        'Give PEM files: TEMPORAL_TLS_SERVER_CA_CERT_PATH, TEMPORAL_TLS_CLIENT_CERT_PATH and the key of that very certificate in TEMPORAL_TLS_CLIENT_KEY_PATH.',
      cause: error,
    });
  }
}

/** Why a server that did not answer may have been reached all the same; undefined when TLS is not to blame. */
export async function explainTls(address: string, tls: TlsSetting): Promise<SluiceError | undefined> {
  const { host, port } = splitAddress(address);
  const encrypted = tls !== undefined && tls !== null && tls !== false;
  const answer = await shakeHands({
    host,
    port,
    ALPNProtocols: ['h2'],
    // By the address without TLS: whether the server has it is all that is asked.
    rejectUnauthorized: encrypted,
    ...(isIP(host) === 0 && { servername: host }),
    ...(typeof tls === 'object' && tls !== null && toNodeOptions(tls)),
  });
  if (!encrypted) {
    if (!answer.spokeTls) return undefined;
    return refusal(
      address,
      'the server speaks TLS and this client does not',
      'Set TEMPORAL_TLS=true, and TEMPORAL_TLS_SERVER_CA_CERT_PATH where the certificate is of an authority of your own.',
    );
  }
  const { error } = answer;
  if (error === undefined || UNREACHED.has(error.code)) return undefined;
  const known = REASONS.find(({ pattern }) => pattern.test(`${error.code} ${error.message}`));
  if (known === undefined && !answer.spokeTls) {
    return refusal(
      address,
      'the server speaks no TLS',
      'Unset TEMPORAL_TLS and the TEMPORAL_TLS_… certificates, or set TEMPORAL_TLS=false: an API key alone turns TLS on.',
    );
  }
  return refusal(address, error.message, known?.remedy ?? 'Check the TEMPORAL_TLS_… variables against the server.');
}

const UNREACHED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
]);

/** First match wins. */
const REASONS: readonly { readonly pattern: RegExp; readonly remedy: string }[] = [
  {
    pattern: /ALTNAME/,
    remedy: 'Name the host as the certificate does in TEMPORAL_ADDRESS, or set TEMPORAL_TLS_SERVER_NAME to that name.',
  },
  {
    pattern: /ALERT|alert/,
    remedy:
      'The server asks for a client certificate that it trusts: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH.',
  },
  {
    pattern: /CERT|SIGNATURE|ISSUER|certificate/i,
    remedy: 'Set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the certificate of the authority that signed the server’s.',
  },
];

function refusal(address: string, reason: string, remedy: string): SluiceError {
  return new SluiceError('TEMPORAL_REFUSED', `No TLS connection to the Temporal server at ${address}: ${reason}.`, {
    remedy,
  });
}

interface Handshake {
  readonly spokeTls: boolean;
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

const HANDSHAKE_TIMEOUT_MS = 3_000;

/** A refusal of the client's certificate comes after the handshake, in place of the server's first words. */
function shakeHands(options: ConnectionOptions): Promise<Handshake> {
  return new Promise((resolve) => {
    let spokeTls = false;
    const socket = connect(options, () => {
      spokeTls = true;
    });
    const end = (error?: Handshake['error']): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ spokeTls, error });
    };
    const timer = setTimeout(end, HANDSHAKE_TIMEOUT_MS);
    socket.once('data', () => end());
    socket.once('close', () => end());
    socket.once('error', (error: Error & { readonly code?: string; readonly reason?: string }) => {
      // Certificates and alerts come from whoever speaks TLS.
      spokeTls ||= /CERT|SIGNATURE|ISSUER|ALERT|alert/.test(`${error.code} ${error.message}`);
      end({ code: error.code ?? '', message: error.reason ?? messageOf(error) });
    });
  });
}

function toNodeOptions(tls: TLSConfig): ConnectionOptions {
  return {
    ...(tls.serverRootCACertificate && { ca: Buffer.from(tls.serverRootCACertificate) }),
    ...(tls.clientCertPair && {
      cert: Buffer.from(tls.clientCertPair.crt),
      key: Buffer.from(tls.clientCertPair.key),
    }),
    ...(tls.serverNameOverride && { servername: tls.serverNameOverride }),
  };
}

function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = '7233'] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(address) ?? [];
  return { host, port: Number(port) };
}
