import type { KnownColumn } from './bind-models.ts';
import type { OwnerChoice } from './carry-model.ts';
import type { DbtNames } from './dbt-names.ts';
import type { Findings } from './findings.ts';
import type { Expression, Scope } from './jinja/index.ts';
import type { MacroLibrary } from './macros.ts';
import { type DbtNode, findNode, tableOf } from './nodes.ts';
import type { LayerRules } from './place-models.ts';
import type { DbtProject } from './read-project.ts';
import type { Properties, SourceTable } from './read-properties.ts';
import { type Fields, toFields } from './yaml-file.ts';

export interface ImportRequest {
  /** The folder with dbt_project.yml. */
  readonly dir: string;
  readonly layers?: LayerRules;
  readonly owner?: OwnerChoice | undefined;
  /** target.name; templates that ask for it get this. */
  readonly target?: string;
  /** Values over those of dbt_project.yml. */
  readonly vars?: Fields;
  /** dbt's name of a source → Sluice's. */
  readonly sources?: ReadonlyMap<string, string>;
  /** bronze.<source>.<table> → columns, where the Sluice project knows its sources. */
  readonly bronze?: ReadonlyMap<string, readonly KnownColumn[]>;
}

/** What all steps of an import share. */
export interface ImportContext {
  readonly request: ImportRequest;
  readonly project: DbtProject;
  readonly properties: Properties;
  readonly findings: Findings;
  readonly nodes: ReadonlyMap<string, DbtNode>;
  readonly macros: MacroLibrary;
  readonly names: Omit<DbtNames, 'remark'>;
  readonly describe: (text: string | undefined) => string | undefined;
  readonly macroCall: (expression: Expression, scope: Scope) => string | undefined;
}

/** bronze.<source>.<table>: the dbt source's name and the table's own one. */
export function bronzeName(source: SourceTable, request: ImportRequest): string {
  return `bronze.${request.sources?.get(source.source) ?? source.source}.${source.identifier}`.toLowerCase();
}

export function createNames(
  parts: Pick<ImportContext, 'request' | 'project' | 'properties' | 'nodes' | 'macros'>,
): ImportContext['names'] {
  const { request, project, properties, nodes, macros } = parts;
  return {
    ref: (name, version) => {
      const node = findNode(nodes, properties, name, version);
      return node === undefined ? undefined : tableOf(node);
    },
    nodes: () => nodes.keys(),
    source: (source, table) => {
      const found = properties.sources.get(`${source}.${table}`);
      return found === undefined ? undefined : bronzeName(found, request);
    },
    sources: () => properties.sources.keys(),
    // A project may put its own vars under its name.
    vars: { ...project.vars, ...toFields(project.vars[project.name]), ...request.vars },
    target: request.target ?? 'prod',
    projectName: project.name,
    macros,
  };
}
