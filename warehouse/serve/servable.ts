import type { Dataset } from '../core/dataset.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import { quoteIdentifier, quotePath } from '../core/quote.ts';
import { nobodysScope } from './caller.ts';
import { parseColumnType } from './column-type.ts';
import { compilePage } from './compile.ts';
import type { Engine } from './engine.ts';
import type { PinnedRelease } from './pinned-release.ts';

const PROBE_MS = 250;
const PROBE_BYTES = 1_048_576;

/**
 * What must hold before a release is served: every dataset says who owns its rows in columns that exist, its filters name columns that exist
 * and ids that some dataset lists, and its table in the gold file has exactly the declared columns. All problems at once.
 */
export async function assertServable(pinned: PinnedRelease, engine: Engine): Promise<void> {
  const { datasets } = pinned.release;
  const problems: string[] = [];
  for (const dataset of datasets) {
    const declared = declarationProblems(dataset, datasets);
    problems.push(...declared, ...(declared.length === 0 ? await tableProblems(dataset, engine) : []));
  }
  if (problems.length === 0) return;
  throw new SluiceError(
    'RELEASE_UNSERVABLE',
    `Release ${pinned.release.version} cannot be served: ${problems.join('; ')}.`,
    {
      remedy: 'Mend the headers of these models and build again; the release served until now goes on.',
      details: { problems },
    },
  );
}

function declarationProblems(dataset: Dataset, datasets: readonly Dataset[]): string[] {
  const problems: string[] = [];
  const typeOf = (name: string) => {
    const column = dataset.columns.find((candidate) => candidate.name === name);
    return column === undefined ? undefined : parseColumnType(column.type);
  };
  const { owner, filters } = dataset;
  const owners = owner.kind === 'public' ? [] : [owner.org, ...(owner.user === undefined ? [] : [owner.user])];
  for (const column of owners) {
    const kind = typeOf(column)?.kind;
    if (kind !== 'integer' && kind !== 'uuid' && kind !== 'text') {
      problems.push(`${dataset.id}: the owner column ${column} is not a column of whole numbers, UUIDs or text`);
    }
  }
  for (const column of dataset.key)
    if (typeOf(column) === undefined) problems.push(`${dataset.id}: the key column ${column} does not exist`);
  if (filters.dateColumn !== undefined) {
    const kind = typeOf(filters.dateColumn)?.kind;
    if (kind !== 'date' && kind !== 'timestamp')
      problems.push(`${dataset.id}: the date column ${filters.dateColumn} holds no dates`);
  }
  for (const [entity, column] of Object.entries(filters.ids)) {
    const lists = datasets.filter((candidate) => candidate.entity === entity);
    const key = lists[0]?.columns.find((candidate) => candidate.name === lists[0]?.key[0]);
    const type = typeOf(column);
    if (lists.length !== 1)
      problems.push(`${dataset.id}: ${lists.length} datasets list the ids of ${entity}, and it takes one`);
    else if (key === undefined || type === undefined)
      problems.push(`${dataset.id}: the id column ${column} or the key of ${lists[0]?.id} does not exist`);
    else if (
      JSON.stringify(type.kind === 'list' ? type.of : type, bigintText) !==
      JSON.stringify(parseColumnType(key.type), bigintText)
    ) {
      problems.push(`${dataset.id}: ${column} and ${lists[0]?.id}.${key.name} are of different types`);
    }
  }
  return problems;
}

async function tableProblems(dataset: Dataset, engine: Engine): Promise<string[]> {
  try {
    const bound = await engine.check(`select * from ${quotePath('gold', 'main', dataset.id)}`);
    const actual = new Map(bound.map((column) => [column.name, column.type]));
    const wrong = dataset.columns.filter((column) => {
      const type = actual.get(column.name);
      return (
        type === undefined ||
        JSON.stringify(parseColumnType(type), bigintText) !== JSON.stringify(parseColumnType(column.type), bigintText)
      );
    });
    if (wrong.length > 0)
      return wrong.map(
        (column) => `${dataset.id}: the table has no column ${quoteIdentifier(column.name)} of type ${column.type}`,
      );
    return await probe(dataset, engine);
  } catch (error) {
    return [
      `${dataset.id}: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'its table does not bind'}`,
    ];
  }
}

/** Runs the real page for an owner who can own nothing. A view too slow for the probe is left to its requests' own time-out. */
async function probe(dataset: Dataset, engine: Engine): Promise<string[]> {
  const owner = nobodysScope(dataset);
  const page = compilePage(dataset, owner, { kind: 'and', of: [] }, { fetch: 1, offset: 0, maxBytes: PROBE_BYTES });
  const running = engine.run({ ...page, format: 'json', maxRows: 1, deadline: performance.now() + PROBE_MS });
  try {
    const answer = await running.answer;
    return answer.rows > 0 && owner.kind === 'own' ? [`${dataset.id}: rows are visible to an owner of nothing`] : [];
  } catch (error) {
    if (isSluiceError(error, 'QUERY_TIMEOUT') || isSluiceError(error, 'QUERY_TOO_LARGE')) return [];
    throw error;
  } finally {
    await running.settled;
  }
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
