export { sweepReleases } from './janitor.ts';
export { openReleases, type ReleaseDraft, type Releases, type ReleasesOptions } from './releases.ts';
