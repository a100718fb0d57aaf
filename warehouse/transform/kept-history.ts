import { SluiceError } from '../core/errors.ts';
import type { Release } from '../core/release.ts';
import type { CompiledProject } from './model.ts';
import { SNAPSHOT_COLUMNS } from './snapshot-rule.ts';

/**
 * Refuses a project that would lose the history of a snapshot in the release: a model that is gone or is no snapshot any more, or a column its
 * SELECT no longer gives; unless the loss is asked for by the snapshot's name. Errors: SNAPSHOT_HISTORY.
 */
export function requireHistoryKept(
  project: Pick<CompiledProject, 'models'>,
  previous: Pick<Release, 'models'> | undefined,
  dropHistory: ReadonlySet<string> = new Set(),
): void {
  const models = new Map(project.models.map((model) => [model.name, model]));
  const held = (previous?.models ?? []).filter(({ materialized }) => materialized === 'snapshot');
  const odd = [...dropHistory].find((name) => !/^(silver|gold)\.\w+$/.test(name));
  // A name that stands nowhere is let pass: a run that is tried again after it was published finds its snapshot gone already.
  if (odd !== undefined) {
    throw new SluiceError('SNAPSHOT_HISTORY', `${odd} is no name of a snapshot.`, {
      remedy:
        held.length === 0 ? 'The release holds none.' : `Snapshots: ${held.map((state) => state.name).join(', ')}.`,
    });
  }
  const lost = held.flatMap((state): { name: string; why: string }[] => {
    const { name } = state;
    const model = models.get(name);
    if (dropHistory.has(name)) return [];
    if (model === undefined) return [{ name, why: 'the project no longer has it' }];
    if (model.materialized !== 'snapshot') return [{ name, why: `it is a ${model.materialized} now` }];
    const given = new Set(model.boundColumns.map((column) => column.name.toLowerCase()));
    const gone = state.columns.filter((column) => !given.has(column.name.toLowerCase()));
    if (gone.length === 0) return [];
    const own = gone.some((column) => SNAPSHOT_COLUMNS.includes(column.name));
    const list = gone.map((column) => column.name).join(', ');
    return [{ name, why: own ? `its header no longer gives ${list}` : `its SELECT no longer gives ${list}` }];
  });
  if (lost.length === 0) return;
  const list = lost.map(({ name, why }) => `${name} (${why})`).join('; ');
  throw new SluiceError('SNAPSHOT_HISTORY', `History that cannot be had again would be lost: ${list}.`, {
    remedy: `Put back what is missing (a column as \`null::<type> as <name>\`), or let it go: ${lost.map(({ name }) => `--drop-history ${name}`).join(' ')}.`,
    details: { snapshots: lost },
  });
}
