import { type Findings, lineAt } from './findings.ts';
import {
  type Body,
  type Callable,
  createMacro,
  JinjaError,
  parseTemplate,
  type Scope,
  type Statement,
  ValueError,
} from './jinja/index.ts';
import type { DbtProject, SourceFile } from './read-project.ts';

/** Macros of the project and of its installed packages, read and not yet called. */

export interface DbtMacro {
  readonly name: string;
  readonly package: string;
  readonly file: SourceFile;
  readonly at: number;
  readonly statement: Extract<Statement, { kind: 'macro' | 'block' }>;
}

export interface MacroLibrary {
  /** By package (the project's own under its name), then by macro. */
  readonly packages: ReadonlyMap<string, ReadonlyMap<string, DbtMacro>>;
  /** {% test name(model, column_name) %}, by name: the project's and those of packages as <package>.<name>. */
  readonly tests: ReadonlyMap<string, DbtMacro>;
}

/** Files of the project that cannot be read become findings; those of packages are nobody's to mend here. */
export function readMacros(project: DbtProject, findings: Findings): MacroLibrary {
  const packages = new Map<string, Map<string, DbtMacro>>();
  const tests = new Map<string, DbtMacro>();
  const groups: [string, readonly SourceFile[]][] = [
    ...project.packages,
    [project.name, [...project.macros, ...project.tests.filter(({ folders }) => folders[0] === 'generic')]],
  ];
  for (const [name, files] of groups) {
    const macros = packages.get(name) ?? new Map<string, DbtMacro>();
    packages.set(name, macros);
    for (const file of files) {
      for (const statement of parse(file, name === project.name ? findings : undefined)) {
        const macro = { package: name, file, at: statement.at };
        if (statement.kind === 'macro') macros.set(statement.name, { ...macro, name: statement.name, statement });
        else if (statement.kind === 'block' && ['test', 'data_test'].includes(statement.word)) {
          const test = { ...macro, name: statement.name, statement };
          tests.set(name === project.name ? statement.name : `${name}.${statement.name}`, test);
        } else if (statement.kind === 'block' && name === project.name) {
          findings.add({
            kind: 'left_out',
            file: file.file,
            line: lineAt(file.text, statement.at),
            subject: `${statement.word} ${statement.name}`,
            what: `a ${statement.word} of your own`,
            remedy: 'Sluice has its own view, table, incremental and snapshot.',
          });
        }
      }
    }
  }
  return { packages, tests };
}

function parse(file: SourceFile, findings: Findings | undefined): Body {
  try {
    return parseTemplate(file.text);
  } catch (error) {
    if (!(error instanceof JinjaError)) throw error;
    findings?.add({
      kind: 'left_out',
      file: file.file,
      line: lineAt(file.text, error.at),
      subject: file.name,
      what: error.message,
      remedy: error.remedy,
    });
    return [];
  }
}

/** A macro as a function in a scope; its problems name the macro's own file and line. */
export function bindMacro(macro: DbtMacro, scope: Scope): Callable {
  const call = createMacro(macro.statement, scope);
  return (args) => {
    try {
      return call(args);
    } catch (error) {
      if (!(error instanceof JinjaError)) throw error;
      const place = `(${macro.file.file}:${lineAt(macro.file.text, error.at)}, in the macro ${macro.name})`;
      throw new ValueError(error.message.includes(place) ? error.message : `${error.message} ${place}`, error.remedy);
    }
  };
}
