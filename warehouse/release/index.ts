export { openReleases, type ReleaseDraft, type Releases, type ReleasesOptions } from './releases.ts';
export { sweepReleases } from './janitor.ts';
