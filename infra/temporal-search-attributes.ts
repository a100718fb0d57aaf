import { encodeSearchAttributeIndexedValueType } from '@temporalio/common/lib/search-attributes.js';
import { SEARCH_ATTRIBUTES } from '../temporal.config.ts';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Config } from './config.ts';
import { connectTemporal, toTemporalError } from './temporal-connection.ts';

/** Adds the search attributes that the namespace lacks: a run that sets an unknown one would never end. */
export async function ensureSearchAttributes(
  config: Pick<Config, 'temporalEnvironment' | 'temporalUi'>,
): Promise<void> {
  const temporal = await connectTemporal(config);
  const { connection, namespace, address } = temporal;
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = Object.entries(SEARCH_ATTRIBUTES).filter(([name]) => !(name in (customAttributes ?? {})));
    if (missing.length === 0) return;
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(
        missing.map(([name, type]) => [name, encodeSearchAttributeIndexedValueType(type) ?? 0]),
      ),
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
