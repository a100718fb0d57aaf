export { sweepReleases } from './janitor.ts';
export type { PrivateRelease, PrivateReleases } from './private-releases.ts';
export { openReleases, type ReleaseDraft, type Releases, type ReleasesOptions } from './releases.ts';
export type { Turn, TurnRequest, Turns, TurnTaken } from './turns.ts';
