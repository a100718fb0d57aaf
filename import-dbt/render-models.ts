import { configOfFolder, mergeConfig } from './config.ts';
import { createDbtScope, type DbtNames } from './dbt-names.ts';
import { type Findings, lineAt } from './findings.ts';
import {
  type Branch,
  type Expression,
  ExpressionReader,
  evaluate,
  JinjaError,
  parseTemplate,
  type Rendered,
  renderTemplate,
  type Scope,
  type Statement,
  toData,
} from './jinja/index.ts';
import type { DbtProject, SourceFile } from './read-project.ts';
import type { NodeProperties } from './read-properties.ts';
import type { Fields } from './yaml-file.ts';

/** A file of SQL with its templates filled in. */
export interface RenderedFile {
  readonly file: SourceFile;
  readonly sql: Rendered;
  readonly config: Fields;
  /** Tables it reads by ref and source, as they stand in SQL. */
  readonly refs: readonly string[];
  /** False when parts of it could not be evaluated: then the SQL has holes. */
  readonly complete: boolean;
  /** What stood in `if is_incremental()`. */
  readonly increments: readonly { readonly line: number; readonly text: string }[];
  /** Snapshot blocks of the file, rendered for themselves. */
  readonly blocks: readonly Extract<Statement, { kind: 'block' }>[];
}

export interface RenderRequest {
  readonly project: DbtProject;
  readonly names: Omit<DbtNames, 'remark'>;
  readonly findings: Findings;
  /** models, snapshots: the tree of dbt_project.yml. */
  readonly kind: string;
  readonly file: SourceFile;
  readonly properties: NodeProperties | undefined;
  /** The table it becomes, for `this`. */
  readonly self: string;
  /** Calls that become calls of a DuckDB macro. */
  readonly macroCall?: (expression: Expression, scope: Scope) => string | undefined;
  /** Only this part of the file: the body of a snapshot block. */
  readonly part?: Extract<Statement, { kind: 'block' }>;
}

export function renderFile(request: RenderRequest): RenderedFile {
  const { project, findings, file, properties, part } = request;
  let complete = true;
  let own: Fields = {};
  let place = 0;
  const refs = new Set<string>();
  const increments: { line: number; text: string }[] = [];
  const blocks: Extract<Statement, { kind: 'block' }>[] = [];
  const add = (kind: 'changed' | 'left_out', at: number, what: string, remedy: string): void =>
    findings.add({ kind, file: file.file, line: lineAt(file.text, at), subject: file.name, what, remedy });
  const report = (problem: JinjaError): void => {
    complete = false;
    add('left_out', problem.at, problem.message, problem.remedy);
  };
  const outer = mergeConfig(
    configOfFolder(project, request.kind, { folders: file.folders, name: part?.name ?? file.name }),
    properties?.config ?? {},
  );
  const names: DbtNames = { ...request.names, remark: (what, remedy) => add('changed', place, what, remedy) };
  const scope = createDbtScope(names, {
    self: request.self,
    settings: outer,
    config: (fields) => {
      own = { ...own, ...fields };
    },
    refs: (sql) => refs.add(sql),
  });
  const branch = (branches: readonly Branch[]): void => {
    for (const { test, from, to, at } of branches) {
      if (!mentions(test, 'is_incremental')) continue;
      increments.push({ line: lineAt(file.text, at), text: file.text.slice(from, to).trim().replaceAll(/\s+/g, ' ') });
    }
  };
  let sql: Rendered = { text: '', origins: [] };
  try {
    const body = part?.body ?? parseTemplate(file.text);
    sql = renderTemplate(body, scope, {
      report,
      branch,
      block: (block) => blocks.push(block),
      output: (expression, inner) => {
        place = expression.at;
        return request.macroCall?.(expression, inner);
      },
    });
  } catch (error) {
    if (!(error instanceof JinjaError)) throw error;
    report(error);
  }
  const config = mergeConfig(renderFields(outer, scope), own);
  return { file, sql, config, refs: [...refs].sort(), complete, increments, blocks };
}

/** True when a condition hangs on a call of this name, however it is joined with others. */
function mentions(expression: Expression, name: string): boolean {
  if (expression.kind === 'name') return expression.name === name;
  if (expression.kind === 'call') return mentions(expression.callee, name);
  if (expression.kind === 'unary') return mentions(expression.operand, name);
  return expression.kind === 'binary' && (mentions(expression.left, name) || mentions(expression.right, name));
}

/** Text of YAML with `{{ … }}` in it: one expression keeps its type. What cannot be evaluated stays as it is. */
function renderFields(fields: Fields, scope: Scope): Fields {
  const render = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(render);
    if (typeof value === 'object' && value !== null) return renderFields(value as Fields, scope);
    if (typeof value !== 'string' || !/\{[{%]/.test(value)) return value;
    try {
      const whole = /^\s*\{\{([^]*)\}\}\s*$/.exec(value);
      const text = renderTemplate(parseTemplate(value), scope).text;
      if (whole === null || whole[1]?.includes('}}')) return text;
      return toData(evaluate(new ExpressionReader(whole[1] ?? '', 2).expression(), scope));
    } catch (error) {
      if (error instanceof JinjaError) return value;
      throw error;
    }
  };
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, render(value)]));
}
