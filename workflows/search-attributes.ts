import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import { upsertSearchAttributes } from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES } from '../temporal.config.ts';

/** What runs are found by in the Web UI. Whoever starts a run there sets none, so the run sets them itself. */

export interface RunFacts {
  readonly pipeline: string;
  readonly kind: 'nightly' | 'manual' | 'backfill';
  /** YYYY-MM-DD. */
  readonly asOf: string;
}

type Values = Partial<
  Readonly<Record<'EltPipeline' | 'EltRunKind' | 'EltSource' | 'EltTable' | 'EltLogicalDate', string>>
> & {
  readonly EltRows?: number;
};

export function toPairs(values: Values): SearchAttributePair[] {
  return Object.entries(values).map(
    ([name, value]) =>
      ({
        key: defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name as keyof typeof SEARCH_ATTRIBUTES]),
        value,
      }) as SearchAttributePair,
  );
}

export function searchAttributesOf(run: RunFacts, more: Values = {}): SearchAttributePair[] {
  return toPairs({
    EltPipeline: run.pipeline,
    EltRunKind: run.kind,
    EltLogicalDate: run.asOf,
    ...more,
  });
}

export function setSearchAttributes(values: Values): void {
  const pairs = toPairs(values);
  // Servers refuse an empty change for ever.
  if (pairs.length > 0) upsertSearchAttributes(pairs);
}
