import { openProject } from '../infra/project.ts';
import { type RunRequest, runProject } from '../infra/run-project.ts';
import type { EltResult } from '../workflows/contract.ts';
import type { CommandContext } from './context.ts';
import { type Output, toSnakeCase } from './output.ts';
import { createProgressView } from './progress.ts';

/** Runs the pipeline, or half of it, in this process: progress while it runs, then its result for machines or for people. */
export async function runHere(
  { config, output, log, signal }: CommandContext,
  request: RunRequest,
  print: (output: Output, result: EltResult) => void,
): Promise<undefined> {
  const view = createProgressView(output);
  try {
    const result = await runProject(openProject(config, log), request, { onProgress: view.onProgress, signal });
    view.done();
    output.result(toSnakeCase(result));
    print(output, result);
  } finally {
    view.done();
  }
  return undefined;
}
