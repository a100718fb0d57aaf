import { isSluiceError, messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import { type FindToolOptions, findTool, type Tool } from './find-tool.ts';
import type { ToolName } from './tool-pins.ts';

export interface FindToolsOptions extends Omit<FindToolOptions, 'onProgress'> {
  readonly onProgress?: (name: ToolName, note: string) => void;
}

/**
 * Several server programs at once: one is fetched while another compiles. All have ended before a failure is told, so that what could be had is
 * kept. Throws TOOL_UNAVAILABLE with the name of each that failed.
 */
export async function findTools(names: readonly ToolName[], options: FindToolsOptions): Promise<readonly Tool[]> {
  const { onProgress, ...shared } = options;
  const results = await Promise.allSettled(
    names.map(async (name) => {
      try {
        return await findTool(name, { ...shared, onProgress: (note) => onProgress?.(name, note) });
      } catch (error) {
        throw toNamedError(name, error);
      }
    }),
  );
  const tools = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as SluiceError] : []));
  if (failures.length <= 1) {
    if (failures[0] !== undefined) throw failures[0];
    return tools;
  }
  throw new SluiceError('TOOL_UNAVAILABLE', failures.map(messageOf).join('\n'), {
    remedy: [...new Set(failures.map(({ remedy }) => remedy))].join('\n'),
    details: { tools: failures.map(({ details }) => details['tool']) },
  });
}

function toNamedError(name: ToolName, error: unknown): SluiceError {
  if (isSluiceError(error)) return error;
  return new SluiceError('TOOL_UNAVAILABLE', `The server program ${name} cannot be had: ${messageOf(error)}.`, {
    remedy: 'Look at the rights and the space of ~/.cache/sluice, then run it again.',
    details: { tool: name },
    cause: error,
  });
}
