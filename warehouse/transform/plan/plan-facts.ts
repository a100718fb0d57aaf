import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { AsOf, BronzeSnapshot } from '../../core/bronze-table.ts';
import type { Release } from '../../core/release.ts';
import type { CompiledProject } from '../model.ts';

/** Everything a build's outcome is decided by, small enough to keep: two builds with equal facts do the same. */
export const planFactsSchema = z.strictObject({
  /** Number and version of the release it builds on; 0 and empty before the first. */
  base: z.int().nonnegative(),
  base_version: z.string(),
  as_of: z.string(),
  /** Last commit of each bronze table, as <source>.<table>. */
  commits: z.record(z.string(), z.int().nonnegative()),
  /** Fingerprint of each model. */
  models: z.record(z.string(), z.string()),
  /** Hash of tests, owners, datasets and descriptions. */
  declarations: z.string(),
  selected: z.array(z.string()),
  full_refresh: z.boolean(),
});

export type PlanFacts = z.infer<typeof planFactsSchema>;

export function planFacts(options: {
  readonly project: CompiledProject;
  readonly previous: Release | undefined;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  readonly selected: ReadonlySet<string>;
  readonly fullRefresh: boolean;
}): PlanFacts {
  const { project, previous, bronze, asOf, selected, fullRefresh } = options;
  const sorted = <Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> =>
    Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return {
    base: previous?.number ?? 0,
    base_version: previous?.version ?? '',
    as_of: asOf,
    commits: sorted(bronze.tables.map(({ source, table, lastCommit }) => [`${source}.${table}`, lastCommit] as const)),
    models: sorted(project.models.map(({ name, fingerprint }) => [name, fingerprint] as const)),
    declarations: project.declarations,
    selected: [...selected].sort(),
    full_refresh: fullRefresh,
  };
}

/** The plan's name: equal for equal facts. */
export function planId(facts: PlanFacts): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** What is not as it was when the plan was made, one phrase each; empty when a build would do just what was planned. */
export function comparePlanFacts(planned: PlanFacts, now: PlanFacts): readonly string[] {
  const differences: string[] = [];
  if (planned.base !== now.base || planned.base_version !== now.base_version) {
    differences.push(`the current release is ${now.base}, was ${planned.base}`);
  }
  if (planned.as_of !== now.as_of) differences.push(`as of ${now.as_of}, was ${planned.as_of}`);
  for (const name of namesOf(planned.commits, now.commits)) {
    const [before, after] = [planned.commits[name], now.commits[name]];
    if (before !== after) differences.push(`bronze ${name} is at commit ${after ?? 'none'}, was ${before ?? 'none'}`);
  }
  for (const name of namesOf(planned.models, now.models)) {
    const [before, after] = [planned.models[name], now.models[name]];
    if (before === after) continue;
    differences.push(
      before === undefined ? `${name} is new` : after === undefined ? `${name} is gone` : `${name} changed`,
    );
  }
  if (planned.declarations !== now.declarations) differences.push('tests, owners, datasets or descriptions changed');
  const [before, after] = [new Set(planned.selected), new Set(now.selected)];
  const more = now.selected.filter((name) => !before.has(name));
  const fewer = planned.selected.filter((name) => !after.has(name));
  if (more.length > 0) differences.push(`${more.join(', ')} selected now`);
  if (fewer.length > 0) differences.push(`${fewer.join(', ')} no longer selected`);
  if (planned.full_refresh !== now.full_refresh) differences.push('full refresh or not');
  return differences;
}

function namesOf(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): readonly string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
}
