/** What an import says about itself, each with its place in the dbt project. */
export interface Finding {
  /** changed: carried, but not as it was. left_out: not carried; somebody must look. */
  readonly kind: 'changed' | 'left_out';
  /** Relative to the dbt project, with `/`. */
  readonly file: string;
  readonly line: number;
  /** What it is about: a model, a test, a macro. */
  readonly subject: string;
  readonly what: string;
  /** What to do about it; empty where nothing is to be done. */
  readonly remedy: string;
}

/** A thing of the dbt project and the file that it became. */
export interface Carried {
  readonly kind: 'model' | 'test' | 'macro' | 'snapshot' | 'seed';
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface Findings {
  readonly list: readonly Finding[];
  add(finding: Finding): void;
}

/** The same finding at the same place is kept once. */
export function createFindings(): Findings {
  const seen = new Set<string>();
  const list: Finding[] = [];
  return {
    list,
    add: (finding) => {
      const id = JSON.stringify(finding);
      if (seen.has(id)) return;
      seen.add(id);
      list.push(finding);
    },
  };
}

/** The line of an offset, from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < offset; i = text.indexOf('\n', i + 1)) line++;
  return line;
}
