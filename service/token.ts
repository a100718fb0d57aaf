import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { Caller } from '../warehouse/serve/index.ts';

/** Bearer tokens: JWT signed with HS256; `sub` is the user's id, `org_id` and `role` are claims, `exp` is required. */

export interface TokenSecret {
  /** At least 32 characters. */
  readonly secret: string;
}

/** Proves who a token speaks for. Throws UNAUTHENTICATED. */
export type VerifyToken = (token: string) => Promise<Caller>;

const ALGORITHM = 'HS256';
const MIN_SECRET = 32;
const MAX_TOKEN = 8_192;

// Text only: a number would lose digits beyond 2^53 and make 1 and "1" two spellings of one tenant.
const claimText = z.string().min(1).max(200);
const claimsSchema = z.object({ sub: claimText, org_id: claimText, role: claimText });

export function createTokenVerifier(options: TokenSecret & { readonly now?: () => Date }): VerifyToken {
  const key = keyOf(options.secret);
  return async (token) => {
    if (token.length > MAX_TOKEN) throw unauthenticated('The token is too long.');
    const verified = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      requiredClaims: ['sub', 'org_id', 'role', 'exp'],
      ...(options.now === undefined ? {} : { currentDate: options.now() }),
    }).catch((cause: unknown) => {
      throw unauthenticated(
        cause instanceof errors.JWTExpired ? 'The token has expired.' : 'The token is not valid.',
        cause,
      );
    });
    const claims = claimsSchema.safeParse(verified.payload);
    if (!claims.success) throw unauthenticated('The token lacks a claim: sub, org_id and role must be texts.');
    return { sub: claims.data.sub, orgId: claims.data.org_id, role: claims.data.role };
  };
}

/** A token for one user of one org, valid for `ttlSeconds` from now. */
export async function mintToken(
  options: TokenSecret & {
    readonly sub: string;
    readonly orgId: string;
    readonly role: string;
    readonly ttlSeconds: number;
    readonly now?: () => Date;
  },
): Promise<string> {
  const issuedAt = Math.floor((options.now?.() ?? new Date()).getTime() / 1_000);
  return new SignJWT({ org_id: options.orgId, role: options.role })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(options.sub)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + options.ttlSeconds)
    .sign(keyOf(options.secret));
}

/** The token of an Authorization header. Throws UNAUTHENTICATED for none, another scheme or several. */
export function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') {
    throw new SluiceError('UNAUTHENTICATED', 'The request carries no token.', {
      remedy: 'Send the header Authorization: Bearer <token>; `sluice token` makes one for development.',
      details: { challenge: 'Bearer realm="sluice"' },
    });
  }
  const match = /^Bearer +([A-Za-z0-9_.-]+)$/i.exec(authorization);
  if (match?.[1] === undefined) throw unauthenticated('The Authorization header is not one bearer token.');
  return match[1];
}

function unauthenticated(message: string, cause?: unknown): SluiceError {
  return new SluiceError('UNAUTHENTICATED', message, {
    remedy: 'Ask whoever issues tokens for a new one; `sluice token` makes one for development.',
    details: {
      challenge: `Bearer realm="sluice", error="invalid_token", error_description="${message.replace(/\.$/, '')}"`,
    },
    ...(cause === undefined ? {} : { cause }),
  });
}

function keyOf(secret: string): Uint8Array {
  if (secret.length < MIN_SECRET) {
    throw new SluiceError(
      'CONFIG_INVALID',
      `The token secret has ${secret.length} characters; it needs ${MIN_SECRET}.`,
      {
        remedy:
          'Set SLUICE_JWT_SECRET to a random text of at least 32 characters, e.g. from `openssl rand -base64 32`.',
      },
    );
  }
  return new TextEncoder().encode(secret);
}
