import { stat } from 'node:fs/promises';
import type { Dataset } from '../../core/dataset.ts';
import { openDuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { quotePath } from '../../core/quote.ts';
import type { ModelState } from '../../core/release.ts';
import type { CompiledProject } from '../model.ts';
import { firstLine } from './build-errors.ts';
import type { NamedRelation } from './warehouse-engine.ts';

/** What a build checks and writes down once its files are closed. */

/** Gold models with a dataset block that the release holds, with the columns as they stand. */
export function toDatasets(project: CompiledProject, states: ReadonlyMap<string, ModelState>): Dataset[] {
  return project.models.flatMap((model): Dataset[] => {
    const state = states.get(model.name);
    if (model.layer !== 'gold' || model.dataset === undefined || state === undefined) return [];
    const described = new Map(model.columns.map((column) => [column.name, column.description]));
    const columns = state.columns.map(({ name, type }) => {
      const description = described.get(name);
      return description === undefined ? { name, type } : { name, type, description };
    });
    return [{ ...model.dataset, columns }];
  });
}

/** Opens gold as its readers do: a view that needs another file, or a macro that is not in this one, stops the release. */
export async function checkGoldAlone(
  path: string,
  project: CompiledProject,
  relations: ReadonlyMap<string, NamedRelation>,
): Promise<void> {
  const views = project.models.filter(({ name, layer }) => layer === 'gold' && relations.get(name)?.kind === 'view');
  if (views.length === 0) return;
  const db = await openDuckDb({ path, readOnly: true, threads: 1 });
  try {
    for (const view of views) {
      try {
        await db.rows(`select * from ${quotePath('gold', 'main', view.table)} limit 0`);
      } catch (error) {
        throw new SluiceError(
          'BUILD_FAILED',
          `${view.name} (${view.file}) cannot be read from gold alone: ${firstLine(error)}`,
          {
            remedy: 'A view in gold may read gold only: make it a table, or let it read gold tables.',
            cause: error,
          },
        );
      }
    }
  } finally {
    db.close();
  }
}

/** A .wal beside a closed file would be lost by publishing. */
export async function requireNoLog(path: string): Promise<void> {
  const log = await stat(`${path}.wal`).catch(() => undefined);
  if (log !== undefined)
    throw new SluiceError('INTERNAL', `${path} was closed, but its write-ahead log is still there.`);
}
