import type { Release } from '../core/release.ts';

/** A release and the local copy of its gold file, which must stay where it is for as long as it is served. */
export interface PinnedRelease {
  readonly release: Release;
  readonly goldPath: string;
}
