/** The public edge of the HTTP service. */
export type { RefreshHook } from './analytics.ts';
export { type AppOptions, createApp } from './app.ts';
export { type Listening, listen } from './listen.ts';
export { type Problem } from './problem.ts';
export { createTokenVerifier, mintToken, type VerifyToken } from './token.ts';
