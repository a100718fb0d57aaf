import type { PreparedRun, PrepareRequest } from '../activities/contract.ts';
import { selectSources } from '../activities/extract.ts';
import type { SourceDefinition } from '../warehouse/extract/index.ts';
import { loadProject, planBuild } from '../warehouse/transform/index.ts';
import { compileOnBronze } from './compile-project.ts';
import { type Project, withSource } from './project.ts';
import { assertDate, assertExtracted, resolveAsOf } from './run-project.ts';

/** Fills in what the start of a run left open, and refuses what the project does not have before anything is read. */
export async function prepareRun(
  project: Project,
  all: readonly SourceDefinition[],
  request: PrepareRequest,
): Promise<PreparedRun> {
  const sources = selectSources(all, request.sources).map((source) => source.name);
  if (request.asOf !== undefined) assertDate(request.asOf);
  if (request.steps === 'build') await assertExtracted(project, all);
  // A model that cannot be read is found before anything is carried.
  if (request.steps !== 'extract') await loadProject(project.config.projectDir);
  const asOf = request.asOf ?? (await findAsOf(project, request));
  const { select, exclude } = request;
  if ((select !== undefined || exclude !== undefined) && request.steps !== 'extract') {
    const { compiled, bronze } = await compileOnBronze(project);
    const previous = await project.releases.current();
    planBuild({ project: compiled, previous, bronze, asOf, ...(select && { select }), ...(exclude && { exclude }) });
  }
  return { asOf, sources };
}

async function findAsOf(project: Project, request: PrepareRequest): Promise<string> {
  if (request.steps === 'build') return resolveAsOf(project, undefined);
  return withSource(project.config, project.log, (url) => resolveAsOf(project, url));
}
