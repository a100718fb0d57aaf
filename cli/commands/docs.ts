import { basename, join, resolve } from 'node:path';
import { compileOnBronze } from '../../infra/compile-project.ts';
import { openProject } from '../../infra/project.ts';
import type { Release } from '../../warehouse/core/release.ts';
import { loadSources } from '../../warehouse/extract/index.ts';
import { headerJsonSchema, loadProject, traceLineage, writeSite } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { formatCounted } from '../table.ts';

/** Releases that the site lists. */
const RELEASES_SHOWN = 50;

export function registerDocs({ program, action }: CommandHost): void {
  program
    .command('docs')
    .summary('write the project’s documentation as a site that opens from disk')
    .description(
      'Writes a static site: every table with its columns, tests and last results, SQL, owner, lineage of tables and columns, freshness of the sources and releases. It opens with a double click, needs no server and asks nothing of the network.',
    )
    .option('--out <dir>', 'folder of the site (default: .sluice/docs in the project)')
    .option('--header-schema', 'print the JSON Schema of a model’s header instead')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice docs\n  $ sluice docs --out public/docs\n  $ sluice docs --header-schema > header.schema.json',
    )
    .action(
      action<{ out?: string; headerSchema?: boolean }>(async ({ config, output, log }, options) => {
        if (options.headerSchema === true) {
          const schema = headerJsonSchema();
          output.result(schema);
          output.line(JSON.stringify(schema, null, 2));
          return undefined;
        }
        const project = openProject(config, log);
        const { compiled, bronzeTables } = await compileOnBronze(project);
        const files = await loadProject(config.projectDir);
        const texts = new Map(files.models.map(({ file, text }) => [file, text]));
        const sources = await loadSources(config.projectDir);
        const releases: Release[] = [];
        for await (const release of project.releases.list()) {
          releases.push(release);
          if (releases.length === RELEASES_SHOWN) break;
        }
        const site = await writeSite(
          options.out === undefined ? join(config.stateDir, 'docs') : resolve(options.out),
          {
            project: compiled,
            lineage: await traceLineage(compiled, bronzeTables),
            bronzeTables,
            overviews: await project.bronze.overview(sources.map((source) => source.name)),
            releases,
            textOf: (file) => texts.get(file) ?? '',
            generatedAt: new Date().toISOString(),
          },
          basename(resolve(config.projectDir)),
        );
        output.result({ index: site.index, models: site.models, sources: site.sources });
        output.line(
          `${formatCounted(site.models, 'model')}, ${formatCounted(site.sources, 'source table')}: open ${site.index}`,
        );
        return undefined;
      }),
    );
}
