import { encodeSearchAttributeIndexedValueType } from '@temporalio/common/lib/search-attributes.js';
import { SEARCH_ATTRIBUTES } from '../temporal.config.ts';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Config } from './config.ts';
import { connectTemporal, type TemporalClient, toTemporalError } from './temporal-connection.ts';

export interface SearchAttributeGaps {
  readonly missing: readonly (keyof typeof SEARCH_ATTRIBUTES)[];
  /** There, but of another type: a run that sets one fails. */
  readonly wrong: readonly (keyof typeof SEARCH_ATTRIBUTES)[];
}

/** What the namespace lacks of what runs set on themselves. */
export async function findSearchAttributeGaps({
  connection,
  namespace,
}: Pick<TemporalClient, 'connection' | 'namespace'>): Promise<SearchAttributeGaps> {
  const found = (await connection.operatorService.listSearchAttributes({ namespace })).customAttributes ?? {};
  const names = Object.keys(SEARCH_ATTRIBUTES) as (keyof typeof SEARCH_ATTRIBUTES)[];
  return {
    missing: names.filter((name) => !(name in found)),
    wrong: names.filter((name) => name in found && Number(found[name]) !== typeCode(name)),
  };
}

function typeCode(name: keyof typeof SEARCH_ATTRIBUTES): number {
  return encodeSearchAttributeIndexedValueType(SEARCH_ATTRIBUTES[name]) ?? 0;
}

/** Adds the search attributes that the namespace lacks: a run that sets an unknown one would never end. */
export async function ensureSearchAttributes(
  config: Pick<Config, 'temporalEnvironment' | 'temporalUi'>,
): Promise<void> {
  const temporal = await connectTemporal(config);
  const { connection, namespace, address } = temporal;
  try {
    const { missing } = await findSearchAttributeGaps(temporal);
    if (missing.length === 0) return;
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, typeCode(name)])),
    });
  } catch (error) {
    const failure = toTemporalError(error, address);
    if (failure instanceof SluiceError && failure.code === 'TEMPORAL_UNREACHABLE') throw failure;
    if (/already exists/i.test(messageOf(error))) return;
    const wanted = Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => `${name} (${type.toLowerCase()})`);
    throw new SluiceError(
      'TEMPORAL_REFUSED',
      `The search attributes of the namespace ${namespace} at ${address} cannot be set up: ${messageOf(error)}.`,
      { remedy: `Let an administrator add them: ${wanted.join(', ')}.`, cause: error },
    );
  } finally {
    await temporal.close();
  }
}
